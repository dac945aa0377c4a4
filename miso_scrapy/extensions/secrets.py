"""No secret ever reaches a log."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.settings import BaseSettings

_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_PASSWORD",
    "SPIDERMON_SLACK_SENDER_TOKEN",
    "SPIDERMON_DISCORD_WEBHOOK_URL",
    "SPIDERMON_TELEGRAM_SENDER_TOKEN",
    "SPIDERMON_SMTP_PASSWORD",
    "SPIDERMON_SENTRY_DSN",
    "SPIDERMON_AWS_SECRET_ACCESS_KEY",
)
_TRACEBACKS = logging.Formatter()
_URLS = ("REDIS_URL", "MISO_API_URL", "AWS_ENDPOINT_URL", "HTTP_PROXY", "HTTPS_PROXY")


def secrets_in(settings: BaseSettings) -> set[str]:
    """Return the secret values that the settings and the environment hold."""
    found = set()
    for name in _SECRETS:
        found |= {str(settings.get(name) or ""), os.environ.get(name, "")}
    for name in _URLS:
        for url in (str(settings.get(name) or ""), os.environ.get(name, "")):
            try:
                netloc = urlsplit(url).netloc
            except ValueError:  # no URL: what is secret in it cannot be told
                found.add(url)
                continue
            _, _, password = netloc.rpartition("@")[0].partition(":")
            found |= {password, unquote(password)}
    webhook = str(settings.get("SPIDERMON_DISCORD_WEBHOOK_URL") or "")
    with contextlib.suppress(ValueError):
        found.add(urlsplit(webhook).path.strip("/"))  # which is all that some errors show of it
    return found - {""}


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return *text* with each secret replaced by asterisks, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


class MaskSecrets:
    """Mask the values of secret settings in whatever is logged: Scrapy prints settings at start."""

    def __init__(self, crawler: Crawler) -> None:
        self.secrets = secrets_in(crawler.settings)
        self._filter_handlers()
        # Scrapy replaces its handler between making the extensions and opening the spider.
        crawler.signals.connect(self._filter_handlers, signal=signals.spider_opened)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> MaskSecrets:
        """Make it for *crawler*."""
        return cls(crawler)

    def _filter_handlers(self) -> None:
        for handler in logging.getLogger().handlers:
            if self.mask not in handler.filters:
                handler.addFilter(self.mask)

    def mask(self, record: logging.LogRecord) -> bool:
        """Replace each secret in *record* by asterisks; let everything through."""
        message = record.getMessage()
        shown = masked(message, self.secrets)
        if shown != message:
            if isinstance(record.args, dict):  # LOG_FORMAT=json still reads from them
                record.msg = shown.replace("%", "%%")
            else:
                record.msg, record.args = shown, None
        if record.exc_info:
            traceback = _TRACEBACKS.formatException(record.exc_info)
            if (shown := masked(traceback, self.secrets)) != traceback:
                record.exc_info, record.exc_text = None, shown  # every formatter shows the text
        return True
