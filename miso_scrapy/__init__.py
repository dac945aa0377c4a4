"""miso_scrapy: MISO's real-time total load, filed every five minutes and never lost."""

__version__ = "0.1.0"
