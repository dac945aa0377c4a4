"""Serve the part of S3 that a collector uses: `python -m benchmarks.bucket PORT`.

This server keeps connections open and answers in a fraction of a millisecond. moto's server, which
the tests use, closes each connection and takes about 8 ms of CPU for a put, so wall times would mostly
measure moto.
"""

from __future__ import annotations

import hashlib
import sys

from aiohttp import web

_kept: dict[str, bytes] = {}


async def _answer(request: web.Request) -> web.Response:
    path = request.path
    if request.method == "PUT":
        sent = await request.read()  # first: of two that come together, one writes
        if path in _kept and request.headers.get("If-None-Match") == "*":
            return web.Response(status=412)
        _kept[path] = sent
    elif path.count("/") > 1 and path not in _kept:
        return web.Response(status=404)
    body = _kept.get(path, b"")
    etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    return web.Response(body=body if request.method == "GET" else b"", headers={"ETag": etag})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _answer)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
