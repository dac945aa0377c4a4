"""Base classes for this project's Scrapy components and spiders."""

from __future__ import annotations

from typing import Any, Self

from scrapy import Spider
from scrapy.crawler import Crawler

from miso_scrapy.feed.candidate import CandidateRange


class Component:
    """A component that Scrapy creates for a crawler: a pipeline, a middleware or an extension."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Create the component for *crawler*."""
        return cls(crawler)


class ArchiveSpider(Spider):
    """A spider that yields snapshots for the archive, with the attributes that the components read."""

    force = False
    """Whether to file registered candidates again."""
    skip_hash_check = False
    """Whether to run without a registry."""
    follow = False
    """Whether to wait for servers that are down, instead of ending the run."""
    reaches_ahead = False
    """Whether candidates of the run were still to come when it began."""
    candidates: CandidateRange | tuple[()] = ()
    """The candidates of the run, if they are known before it starts."""

    def due_candidates(self) -> int:
        """Return the number of candidates that are due now."""
        return 0


def spider_of(crawler: Crawler) -> ArchiveSpider:
    """Return the spider of *crawler*. Raises TypeError if it is not an ArchiveSpider."""
    spider: Any = crawler.spider
    if not isinstance(spider, ArchiveSpider):
        raise TypeError(f"{type(spider).__name__} must be a {ArchiveSpider.__name__}")
    return spider
