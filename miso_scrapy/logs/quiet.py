"""Log at DEBUG what Scrapy tells of itself at INFO: versions, settings, components, statistics."""

from __future__ import annotations

import logging

# The messages of Scrapy 2.19, by logger. The tests find a new one, as they count the lines of a run.
_MESSAGES = {
    "scrapy.utils.log": ("Scrapy ", "Versions:"),
    "scrapy.addons": ("Enabled addons:",),
    "scrapy.crawler": ("Overridden settings:",),
    "scrapy.middleware": ("Enabled ",),
    "scrapy.core.engine": ("Spider opened", "Closing spider"),
    "scrapy.extensions.logstats": ("Crawled ",),
}
_STATISTICS = {"scrapy.statscollectors": ("Dumping Scrapy stats:",)}


class _AtDebug(logging.Filter):
    """Change the level of the messages that begin with one of *beginnings* from INFO to DEBUG."""

    def __init__(self, beginnings: tuple[str, ...]) -> None:
        super().__init__()
        self._beginnings = beginnings

    def filter(self, record: logging.LogRecord) -> bool:
        """Change *record*. Return whether its logger takes its new level."""
        if record.levelno == logging.INFO and str(record.msg).startswith(self._beginnings):
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger(record.name).isEnabledFor(record.levelno)


_filters: dict[logging.Logger, _AtDebug] = {}


def quieten(*, statistics: bool) -> None:
    """Log Scrapy's messages about itself at DEBUG; its statistics too, unless *statistics* is true."""
    for logger, old in _filters.items():  # of an earlier CrawlerProcess
        logger.removeFilter(old)
    _filters.clear()
    for name, beginnings in (_MESSAGES | ({} if statistics else _STATISTICS)).items():
        logger = logging.getLogger(name)
        _filters[logger] = _AtDebug(beginnings)
        logger.addFilter(_filters[logger])
