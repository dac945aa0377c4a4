"""Exceptions of this project's components."""

from __future__ import annotations

from scrapy.exceptions import DownloadFailedError, DropItem

from miso_scrapy.stats import Outcome


class Dropped(DropItem):
    """Drop a candidate with *outcome*; *reason* is one line for the user.

    *together*: other candidates are dropped for the same reason, and one log line reports them all.
    """

    def __init__(
        self, outcome: Outcome, reason: str, log_level: str = "ERROR", *, together: bool = False
    ) -> None:
        super().__init__(reason, log_level=log_level)
        self.outcome = outcome
        self.together = together


class UntrustedServer(DownloadFailedError):
    """The server is not trusted: *what* is wrong with its certificate or TLS, and how to *fix* that."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix


class Stopped(Dropped):
    """Drop a candidate because the run is stopped while it waits for a server."""

    def __init__(self) -> None:
        super().__init__(
            Outcome.FAILED,
            "not stored before the run was stopped; a later snapshot of the market day has its load",
            log_level="WARNING",
            together=True,
        )
