"""Serve the part of S3 that the project uses: `python -m benchmarks.bucket PORT`.

This server keeps connections open and answers in a fraction of a millisecond. moto's server, which
the tests use, closes each connection and takes about 8 ms of CPU for a put, so wall times would mostly
measure moto.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import overload
from xml.sax.saxutils import escape

import uvloop
from aiohttp import web

REQUESTS = "/-/requests"
"""A GET of this path returns the number of requests of each kind since the last one, as JSON."""
_PAGE = 1000
_FIRST = datetime.fromisoformat("2016-01-01T05:00")


class Candidates(Sequence[str]):
    """The keys of the first *number* candidates since _FIRST, in order, without any files."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return a key, or a list of keys."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._number))]
        at = _FIRST + timedelta(minutes=5) * index
        name = f"realtime_total_load_{at:%Y%m%d_%H%M%S}.json.gz"
        return f"sourcing/miso_realtime_total_load/{at:%Y/%m/%d}/{name}"


class Bucket:
    """Objects by path, those of the directory *archive* too.

    Each GET of an object takes *delay* seconds. The bucket named ``listed-1000`` lists 1,000 keys.
    """

    def __init__(self, delay: float, archive: Path | None) -> None:
        self._delay = delay
        self._kept: dict[str, bytes] = {}
        self._requests: Counter[str] = Counter()
        if archive:
            for path in archive.rglob("*.json*"):
                self._kept[f"/archive/{path.relative_to(archive)}"] = path.read_bytes()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request."""
        path = request.path
        if path == REQUESTS:
            counted, self._requests = self._requests, Counter()
            return web.json_response(counted)
        self._requests["LIST" if "list-type" in request.query else request.method] += 1
        if "list-type" in request.query:
            return self._list(request)
        if request.method == "PUT":
            sent = await request.read()  # first: of two that come together, one writes
            if path in self._kept and request.headers.get("If-None-Match") == "*":
                return web.Response(status=412)
            self._kept[path] = sent
        elif path.count("/") > 1:
            await asyncio.sleep(self._delay)
            if path not in self._kept:
                return web.Response(status=404)
        body = self._kept.get(path, b"")
        etag = f'"{_md5(body)}"'
        return web.Response(body=body if request.method == "GET" else b"", headers={"ETag": etag})

    def _list(self, request: web.Request) -> web.Response:
        bucket, query = request.path.strip("/"), request.query
        after = query.get("continuation-token") or query.get("start-after") or ""
        keys: Sequence[str]
        if bucket.startswith("listed-"):
            keys = Candidates(int(bucket.removeprefix("listed-")))
        else:
            start = f"/{bucket}/"
            keys = sorted(
                path.removeprefix(start)
                for path in self._kept
                if path.startswith(start + query.get("prefix", ""))
            )
        begin = bisect_right(keys, after)
        page = keys[begin : begin + _PAGE]
        more = begin + _PAGE < len(keys)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{_md5(self._kept.get(f'/{bucket}/{key}', b''))}&quot;</ETag><Size>4000</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        return web.Response(
            content_type="application/xml",
            text='<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"<KeyCount>{len(page)}</KeyCount>{token}{contents}</ListBucketResult>",
        )


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--archive", type=Path)
    options = parser.parse_args()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", Bucket(options.delay, options.archive).answer)
    web.run_app(
        app, host="127.0.0.1", port=options.port, access_log=None, print=None,
        loop=uvloop.new_event_loop(),
    )  # fmt: skip
