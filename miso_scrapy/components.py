"""Base classes of this project's Scrapy components and spiders."""

from __future__ import annotations

from typing import Any, Self

from scrapy import Spider
from scrapy.crawler import Crawler

from miso_scrapy.feed.candidate import CandidateRange


class Component:
    """A component that Scrapy makes for a crawler: a pipeline, a middleware or an extension."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Make it for *crawler*."""
        return cls(crawler)


class ArchiveSpider(Spider):
    """A spider whose snapshots are filed, and what the components need to know of its run."""

    force = False
    """Whether to file again what is registered."""
    skip_hash_check = False
    """Whether to do without a registry."""
    candidates: CandidateRange | tuple[()] = ()
    """The candidates of the run, where they are known beforehand."""

    def due_candidates(self) -> int:
        """Return how many candidates are due by now."""
        return 0


def spider_of(crawler: Crawler) -> ArchiveSpider:
    """Return the spider of *crawler*. Raises TypeError for one whose snapshots cannot be filed."""
    spider: Any = crawler.spider
    if not isinstance(spider, ArchiveSpider):
        raise TypeError(f"{type(spider).__name__} must be a {ArchiveSpider.__name__}")
    return spider
