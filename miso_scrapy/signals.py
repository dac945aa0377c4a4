"""Signals of this project, beside Scrapy's own."""

candidate_skipped = object()
"""Sent with *identifier* when a candidate is skipped: it never becomes an item."""
