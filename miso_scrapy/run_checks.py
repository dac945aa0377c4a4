"""The checks of a run at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miso_scrapy.options import Options
from miso_scrapy.stats import BEHIND_SECONDS, LOST, NEWEST_INTERVAL, OWED, Outcome
from miso_scrapy.text.wording import count


@dataclass(frozen=True)
class RunChecks:
    """The checks of a run with *stats*. Each returns one line, what is wrong and what to do, or None."""

    stats: Mapping[str, Any]
    options: Options

    def failures(self) -> dict[str, str]:
        """Return the line of each check that fails, by the name of its monitor."""
        lines = {
            "stale feed": self.stale_feed(),
            "candidates": self.candidates(),
            "burst of 503s": self.burst_of_503s(),
            "outbox": self.outbox(),
            "errors in the log": self.errors_in_the_log(),
        }
        return {name: line for name, line in lines.items() if line}

    def stale_feed(self) -> str | None:
        """Check that the newest interval was recent when it was fetched."""
        behind = self._stat(BEHIND_SECONDS) / 60
        if behind <= self.options.stale_after:
            return None
        return (
            f"the feed's newest interval, {self.stats[NEWEST_INTERVAL]}, was {behind:.0f} "
            "minutes behind the clock: look at the feed in a browser; newer snapshots are not "
            "available until it continues"
        )

    def candidates(self) -> str | None:
        """Check that no candidate failed or was invalid."""
        failed, invalid = self._stat(Outcome.FAILED.stat), self._stat(Outcome.INVALID.stat)
        if failed:
            return (
                f"{count(failed, 'candidate')} failed, {invalid} invalid: the log says what to do"
            )
        if invalid:
            return f"{count(invalid, 'candidate')} invalid: kept in quarantine; see the reason"
        return None

    def burst_of_503s(self) -> str | None:
        """Check that the feed was not overloaded."""
        answers = self._stat("downloader/response_status_count/503")
        if answers <= self.options.max_503:
            return None
        return (
            f"the feed answered {answers} times with 503: it is overloaded or down; run the same "
            "range again later"
        )

    def outbox(self) -> str | None:
        """Check that the message of every stored file was sent."""
        owed = self._stat(OWED) + self._stat(LOST)
        if not owed:
            return None
        return (
            f"{count(owed, 'message')} not sent to the Kafka topic: check KAFKA_BROKERS, then "
            "run again"
        )

    def errors_in_the_log(self) -> str | None:
        """Check that no errors were logged; this covers errors that no other stat counts."""
        errors = self._stat("log_count/ERROR") + self._stat("log_count/CRITICAL")
        return f"{count(errors, 'error')}: each says what to do" if errors else None

    def _stat(self, name: str) -> int:
        return int(self.stats.get(name, 0))
