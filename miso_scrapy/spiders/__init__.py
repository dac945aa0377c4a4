"""The spiders: candidates and requests."""

from __future__ import annotations

from collections.abc import Iterable


def refuse(unknown: Iterable[str], spider: str, takes: str) -> None:
    """Raise ValueError for an argument that *spider* does not take, with what it *takes*.

    Schedulers add arguments of their own, such as Scrapyd's ``_job``: those pass.
    """
    for name in unknown:
        if not name.startswith("_"):
            raise ValueError(f"{name} is no argument of {spider}: {takes}")
