"""The spiders: they turn candidates into requests, and responses into snapshots."""

from __future__ import annotations

from collections.abc import Iterable


def refuse(unknown: Iterable[str], spider: str, takes: str) -> None:
    """Raise ValueError if there is an *unknown* argument. *takes* says which arguments *spider* has.

    Arguments with a leading underscore are accepted: schedulers add them, such as Scrapyd's ``_job``.
    """
    for name in unknown:
        if not name.startswith("_"):
            raise ValueError(f"{spider} has no argument {name}: {takes}")
