"""Scrapy extensions: connections, statistics, metrics, quarantine, masking of secrets."""
