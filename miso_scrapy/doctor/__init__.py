"""The checks of `scrapy doctor`."""
