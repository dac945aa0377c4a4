"""Signals of this project, in addition to those of Scrapy."""

candidate_skipped = object()
"""Sent with *identifier* when a candidate is skipped: no item signal is sent for it."""
