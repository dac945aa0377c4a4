"""Contracts for `scrapy check`: test that the live feed has the shape that this project can file.

https://docs.scrapy.org/en/latest/topics/contracts.html
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from scrapy.contracts import Contract
from scrapy.exceptions import ContractFail

from miso_scrapy.feed.candidate import floor_to_interval
from miso_scrapy.feed.coverage import covers
from miso_scrapy.feed.ref_id import iso_utc, parse_ref_id
from miso_scrapy.feed.shape import ARRAYS


class FeedContract(Contract):
    """Request the feed at MISO_API_URL, for the current interval.

    .. code-block:: none

        @feed
    """

    name = "feed"

    def __init__(self, method: Callable[..., Any], *args: Any) -> None:
        super().__init__(method, *args)
        self.spider = getattr(method, "__self__", None)

    def adjust_request_args(self, args: dict[str, Any]) -> dict[str, Any]:
        """Set the URL and the candidate of the request."""
        args["url"] = self.spider.api_url if self.spider else ""
        args["cb_kwargs"] = {"candidate": floor_to_interval(datetime.now(UTC))}
        return args


class SnapshotContract(Contract):
    """Check that the answer is a snapshot: its shape, its arrays, their types, and that it covers its
    candidate.

    .. code-block:: none

        @snapshot
    """

    name = "snapshot"

    def post_process(self, output: list[Any]) -> None:
        """Raise ContractFail with the reason if an item is not such a snapshot."""
        for snapshot in output:
            if snapshot.trouble:
                raise ContractFail(str(snapshot.trouble))
            if reason := snapshot.reading.problem:
                raise ContractFail(reason)
            if not any(snapshot.data[name] for name in ARRAYS):
                raise ContractFail("every array is empty")
            interval = parse_ref_id(snapshot.data["RefId"])
            if not covers(interval, snapshot.candidate):
                raise ContractFail(
                    f"the interval {iso_utc(interval)} does not cover {iso_utc(snapshot.candidate)}"
                )
