"""miso_scrapy: an archive of MISO's real-time total load, one snapshot every five minutes."""

__version__ = "0.1.0"
