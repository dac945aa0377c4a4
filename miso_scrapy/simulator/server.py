"""Serve the simulated feed over HTTP, on localhost only."""

from __future__ import annotations

import asyncio
import re
import struct
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from aiohttp import web

from miso_scrapy.feed.ref_id import iso_utc
from miso_scrapy.simulator.load import answer

PATH = "/api/RealTimeTotalLoad"
CONTROL = "/simulator"
FAULTS = {
    "status": "answer with this HTTP status, e.g. status=503; status=503,retry-after:2 adds a header",
    "delay": "answer after this many seconds, e.g. delay=2.5",
    "reset": "reset the connection",
    "cut": "close the connection in the middle of the body",
    "error": 'answer 200 with {"error": "no data"}',
    "html": "answer 200 with an HTML page",
    "empty": "answer 200 with an empty body",
    "body": "answer 200 with this text, e.g. body=[]",
    "stale": "answer with the snapshot of this many minutes ago, e.g. stale=180",
    "documented": "answer in the documented shape",
}

_BOUNDS = {"status": (200, 599), "delay": (0, 3600), "stale": (0, 1_000_000)}


@dataclass
class Fault:
    """A fault in the next *times* answers: ``kind[=value][*times]``, without end by default."""

    kind: str
    value: str = ""
    times: float = float("inf")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Parse a fault. Raises ValueError with a one-line message for the user."""
        match = re.fullmatch(r"([a-z]+)(?:=(.*?))?(?:\*([0-9]+))?", text, re.DOTALL)
        if not match or match[1] not in FAULTS:
            raise ValueError(f"{text}: the fault must be one of {', '.join(FAULTS)}")
        kind, value, times = match[1], match[2] or "", match[3]
        if kind in _BOUNDS:
            low, high = _BOUNDS[kind]
            try:
                number = float(value.partition(",")[0])
            except ValueError:
                number = float("nan")
            if not low <= number <= high:
                raise ValueError(
                    f"{text}: {kind} must be a number from {low} to {high}; {FAULTS[kind]}"
                )
        return cls(kind, value, int(times) if times else float("inf"))


class Simulator:
    """A simulated feed with its own clock.

    The clock starts at *clock* (default: now) and runs. With *advance*, it does not run, but moves
    forward by *advance* after each snapshot served.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: datetime | None = None,
        advance: timedelta | None = None,
        faults: list[Fault] | None = None,
    ) -> None:
        self.seed = seed
        self.advance = advance
        self.faults = deque(faults or ())
        self.requests: list[dict[str, str]] = []
        """The headers of each request so far."""
        self.set_clock(clock or datetime.now(UTC))
        self._runner: web.AppRunner | None = None

    def set_clock(self, clock: datetime) -> None:
        """Set the clock to *clock*."""
        self._clock, self._set_at = clock, datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time of the simulator's clock."""
        if self.advance is not None:
            return self._clock
        return self._clock + (datetime.now(UTC) - self._set_at)

    async def start(self, port: int = 0) -> str:
        """Serve on localhost, on *port* or, if it is 0, on a free port. Return the feed's URL."""
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        app.router.add_get(CONTROL, self._show)
        app.router.add_put(CONTROL, self._set)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"http://127.0.0.1:{port}{PATH}"

    async def stop(self) -> None:
        """Stop serving."""
        if self._runner:
            await self._runner.cleanup()

    def _next_fault(self) -> Fault | None:
        if not self.faults:
            return None
        fault = self.faults[0]
        fault.times -= 1
        if fault.times <= 0:
            self.faults.popleft()
        return fault

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.headers))
        fault = self._next_fault()
        kind, value = (fault.kind, fault.value) if fault else ("", "")
        match kind:
            case "status":
                status, _, header = value.partition(",")
                name, _, content = header.partition(":")
                headers = {name: content} if name else {}
                return web.Response(status=int(status), text="simulated", headers=headers)
            case "reset":
                _reset(request)
                return web.Response()
            case "cut":
                return await self._cut(request)
            case "error":
                return web.json_response({"error": "no data"})
            case "html":
                page = "<!DOCTYPE html><html><body>Service temporarily unavailable</body></html>"
                return web.Response(text=page, content_type="text/html")
            case "empty":
                return web.Response(content_type="application/json")
            case "body":
                return web.Response(text=value, content_type="application/json")
            case "delay":
                await asyncio.sleep(float(value))
        behind = timedelta(minutes=float(value)) if kind == "stale" else timedelta()
        return web.json_response(self._snapshot(behind, documented=kind == "documented"))

    def _snapshot(self, behind: timedelta = timedelta(), *, documented: bool = False) -> Any:
        served = answer(self.seed, self.now() - behind, documented=documented)
        if self.advance is not None:
            self._clock += self.advance
        return served

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 10_000
        await response.prepare(request)
        await response.write(b'{"LoadInfo": {"RefId": "')
        if request.transport:
            request.transport.close()
        return response

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"clock": iso_utc(self.now()), "seed": self.seed, "requests": len(self.requests)}
        )

    async def _set(self, request: web.Request) -> web.Response:
        """Set ``clock``, ``advance`` (minutes, or null) and ``faults``, those that are given."""
        try:
            wanted = await request.json()
            if "advance" in wanted:
                minutes = wanted["advance"]
                self.advance = None if minutes is None else timedelta(minutes=minutes)
            if "clock" in wanted:
                self.set_clock(datetime.fromisoformat(wanted["clock"]))
            if "faults" in wanted:
                self.faults = deque(Fault.parse(fault) for fault in wanted["faults"])
        except (ValueError, TypeError) as error:
            return web.Response(status=400, text=str(error))
        return await self._show(request)


def _reset(request: web.Request) -> None:
    """Close the connection with a TCP RST instead of a FIN."""
    if request.transport:
        request.transport.get_extra_info("socket").setsockopt(
            SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0)
        )
        request.transport.abort()
