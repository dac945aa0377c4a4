"""Write Prometheus metrics of a run, for node_exporter's textfile collector."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from miso_scrapy.archive.record import Filed
from miso_scrapy.components import Component, spider_of
from miso_scrapy.exceptions import Dropped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.extensions.last_success import LastSuccess
from miso_scrapy.feed.candidate import INTERVAL, candidate_of
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.items import Snapshot
from miso_scrapy.options import Options
from miso_scrapy.registry.client import RegistryUnavailable
from miso_scrapy.signals import candidate_skipped
from miso_scrapy.stats import (
    GOOD,
    NEWEST_INTERVAL,
    OUTBOX,
    QUARANTINED,
    REQUESTS,
    SHARED,
    STORED_BYTES,
    Outcome,
)

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

logger = logging.getLogger(__name__)

_HELP = {
    "miso_snapshot_age_seconds": "Age of the newest snapshot that the run received",
    "miso_stored_bytes": "Bytes that the run stored",
    "miso_run_duration_seconds": "Duration of the run up to now, or to its end",
    "miso_last_success_timestamp_seconds": "When a candidate of the current interval last ended well "
    "and the feed was not stale; 0 for never",
    "miso_last_failure_timestamp_seconds": "When a candidate was last uncovered, invalid or failed; "
    "0 for never",
    "miso_newest_interval_timestamp_seconds": "The newest interval that the runs know to be in the "
    "archive; 0 for none",
    "miso_heartbeat_timestamp_seconds": "When a run last wrote these metrics",
    "miso_quarantine_bodies": "Bodies in quarantine, as far as the registry knows",
    "miso_outbox_messages": "Messages owed to the Kafka topic",
    "miso_requests": "Requests that the run sent to the feed",
    "miso_shared": "Candidates of the run that used an answer fetched for another one",
}
_LAST_SUCCESS = "miso_last_success_timestamp_seconds"
_LAST_FAILURE = "miso_last_failure_timestamp_seconds"
_NEWEST_FILED = "miso_newest_interval_timestamp_seconds"
_HEARTBEAT = "miso_heartbeat_timestamp_seconds"
# Times that a run does not take back: those of an earlier run, or of another spider, stay.
_KEPT = (_LAST_SUCCESS, _LAST_FAILURE, _NEWEST_FILED, _HEARTBEAT)
_LABELS = ("spider", "environment")


class Metrics(Component):
    """Write METRICS_FILE at the end of the run, and every METRICS_INTERVAL seconds until then.

    A run that goes on writes it also while it waits, and while its servers or the feed are down.

    A run without success keeps the time of the last success from the existing file, or writes 0 if there
    is none, as an alert needs a value to compare with. The same holds for the other times. Other unknown
    values are left out, such as the age of a snapshot that was not fetched.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        path = crawler.settings.get("METRICS_FILE")
        if not path:
            raise NotConfigured
        options = Options.from_settings(crawler.settings)
        self.path = Path(path)
        self.interval = options.metrics_interval
        self.labels = {"spider": crawler.spidercls.name, "environment": options.environment}
        # A candidate for which the feed is asked again can end when the next one is due.
        patience = INTERVAL if spider_of(crawler).reaches_ahead else timedelta()
        self._last_success = LastSuccess(
            crawler.stats,
            timedelta(seconds=options.publish_delay) + patience,
            timedelta(minutes=options.stale_after),
        )
        self._last_failure: datetime | None = None
        self._newest_filed: datetime | None = None
        self._writing: asyncio.Future[None] | None = None
        self._told = False
        crawler.signals.connect(self._scraped, signal=signals.item_scraped)
        crawler.signals.connect(self._dropped, signal=signals.item_dropped)
        crawler.signals.connect(self._error, signal=signals.item_error)
        crawler.signals.connect(self._skipped, signal=candidate_skipped)
        crawler.signals.connect(self._opened, signal=signals.spider_opened)
        # Not engine_stopped: it is not sent for a run that could not start.
        crawler.signals.connect(self._closed, signal=signals.spider_closed)

    def _scraped(self, item: Any) -> None:
        if isinstance(item, Filed):
            self._filed(item.ref_id)
            self._ended_well(datetime.fromisoformat(item.candidate))

    def _dropped(self, item: Any, exception: BaseException) -> None:
        if not isinstance(exception, Dropped):
            return
        if exception.outcome not in GOOD:
            self._last_failure = datetime.now(UTC)
            return
        if isinstance(item, Snapshot) and item.data and exception.outcome == Outcome.DUPLICATE:
            self._filed(item.data["RefId"])
        self._ended_well(item.candidate)

    def _error(self, item: Any) -> None:
        self._last_failure = datetime.now(UTC)

    def _filed(self, ref_id: str) -> None:
        interval = parse_ref_id(ref_id)
        self._newest_filed = max(self._newest_filed or interval, interval)

    def _skipped(self, identifier: str) -> None:
        self._ended_well(candidate_of(identifier))

    def _ended_well(self, candidate: datetime) -> None:
        self._last_success.ended_well(candidate, datetime.now(UTC))

    def _opened(self) -> None:
        self._writing = asyncio.ensure_future(self._keep_writing())

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            registry = Connections.of(self.crawler).registry
            with contextlib.suppress(RegistryUnavailable):
                if registry:
                    self.crawler.stats.set_value(OUTBOX, await registry.owed())
                    self.crawler.stats.set_value(QUARANTINED, await registry.quarantined())
            self._write()

    async def _closed(self) -> None:
        if self._writing:
            self._writing.cancel()
        await Connections.of(self.crawler).settled.wait()
        self._write()

    def _write(self) -> None:
        try:
            _write(self.path, self.labels, self._outcomes(), self._values())
        except OSError as error:
            if not self._told:
                logger.error(
                    "No metrics: %s cannot be written (%s): check METRICS_FILE",
                    self.path,
                    error.strerror,
                )
            self._told = True

    def _outcomes(self) -> dict[str, int]:
        return {outcome: self.crawler.stats.get_value(outcome.stat, 0) for outcome in Outcome}

    def _values(self) -> dict[str, float | None]:
        """Return {metric name: value}; None is not known: a time in the existing file stays, or 0."""
        stats, now = self.crawler.stats.get_stats(), datetime.now(UTC)
        values: dict[str, float | None] = {
            "miso_stored_bytes": stats.get(STORED_BYTES, 0),
            "miso_outbox_messages": stats.get(OUTBOX, 0),
            "miso_requests": stats.get(REQUESTS, 0),
            "miso_shared": stats.get(SHARED, 0),
            _HEARTBEAT: now.timestamp(),
        }
        if (bodies := stats.get(QUARANTINED)) is not None:
            values["miso_quarantine_bodies"] = bodies
        if started := stats.get("start_time"):
            values["miso_run_duration_seconds"] = (now - started).total_seconds()
        if newest := stats.get(NEWEST_INTERVAL):
            age = now - parse_ref_id(newest)
            values["miso_snapshot_age_seconds"] = age.total_seconds()
        if spider_of(self.crawler).candidates:  # a requeue has no current candidates
            times = {
                _LAST_SUCCESS: self._last_success.at,
                _LAST_FAILURE: self._last_failure,
                _NEWEST_FILED: self._newest_filed,
            }
            values |= {name: at.timestamp() if at else None for name, at in times.items()}
        return values


def _write(
    path: Path, labels: dict[str, str], outcomes: dict[str, int], values: dict[str, float | None]
) -> None:
    """Write *path* atomically. Raises OSError."""
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    now = time.time()
    registry = CollectorRegistry()
    candidates = Gauge(
        "miso_candidates", "Candidates of the run", ["outcome", *_LABELS], registry=registry
    )
    for outcome, number in outcomes.items():
        candidates.labels(outcome=outcome, **labels).set(number)
    gauges = {name: Gauge(name, text, _LABELS, registry=registry) for name, text in _HELP.items()}
    before = {
        (sample.name, *(sample.labels[label] for label in _LABELS)): sample.value
        for metric in _read(path)
        for sample in metric.samples
        if sample.name in _KEPT and set(sample.labels) == set(_LABELS) and sample.value <= now
    }  # without times of the future, which a wrong clock has left: they would hide an outage
    for (name, *of), kept in before.items():
        gauges[name].labels(*of).set(kept)
    for name, value in values.items():
        gauge = gauges[name].labels(**labels)  # 0 until it is set
        if value is not None:
            gauge.set(max(value, before.get((name, *labels.values()), value)))
    write_to_textfile(str(path), registry)


def _read(path: Path) -> Iterator[Metric]:
    """Yield the metrics that an earlier run wrote to *path*; nothing if it cannot be read."""
    from prometheus_client.parser import text_string_to_metric_families

    with contextlib.suppress(OSError, ValueError):
        yield from text_string_to_metric_families(path.read_text())
