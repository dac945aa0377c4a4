"""Stops at the seams between two steps of a run: named by SEAM, `name:n` kills at the n-th passing.
Named by BROKEN, `name:identifier` raises an exception for that candidate, in a pipeline.

Loaded into the real program through its own settings (ITEM_PIPELINES, SPIDER_MIDDLEWARES,
EXTENSIONS...), beside the project's components; the two seams inside the store's write are at the
system calls that it makes.
"""

import os
import signal

from scrapy import signals

NAME, _, NUMBER = os.environ.get("SEAM", "").partition(":")
BROKEN = os.environ.get("BROKEN")
_left = int(NUMBER or 1)


def pass_by(name):
    """Kill the process, as `kill -9` does, if this is the seam and the time."""
    global _left
    if name == NAME:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def break_at(name, identifier):
    """Raise an exception, once, if this is the place and the candidate."""
    global BROKEN
    if f"{name}:{identifier}" == BROKEN:
        BROKEN = None
        raise RuntimeError("broken on purpose")


class _Pipeline:
    name = ""

    def process_item(self, item):
        pass_by(self.name)
        break_at(self.name, item.identifier)
        return item


class Parsed(_Pipeline):
    name = "parsed"


class Validated(_Pipeline):
    name = "validated"


class Covered(_Pipeline):
    name = "covered"


class Held(_Pipeline):
    name = "held"


class Stored(_Pipeline):
    name = "stored"


class Registered(_Pipeline):
    name = "registered"


class Announced(_Pipeline):
    name = "announced"


class Claimed:
    """Outside the claim middleware: the candidate is claimed, its request not yet scheduled."""

    async def process_start(self, start):
        async for request in start:
            pass_by("claimed")
            yield request

    async def process_spider_output(self, response, result):
        async for item in result:
            break_at("called", item.identifier)
            yield item


class Fetched:
    def process_request(self, request):
        pass_by("requested")

    def process_response(self, request, response):
        pass_by("fetched")
        return response


class Ends:
    """The seams at both ends of a run, and within the write of a file."""

    def __init__(self, crawler):
        crawler.signals.connect(lambda: pass_by("opened"), signals.engine_started, weak=False)
        crawler.signals.connect(lambda: pass_by("closing"), signals.spider_closed, weak=False)
        crawler.signals.connect(lambda: pass_by("closed"), signals.engine_stopped, weak=False)
        link = os.link

        def stopping_link(source, target, **kwargs):
            pass_by("written")
            link(source, target, **kwargs)
            pass_by("linked")

        os.link = stopping_link

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)


COMPONENTS = {
    "ITEM_PIPELINES": {
        "tests.support.kill_points.Parsed": 50,
        "tests.support.kill_points.Validated": 150,
        "tests.support.kill_points.Covered": 250,
        "tests.support.kill_points.Held": 350,
        "tests.support.kill_points.Stored": 450,
        "tests.support.kill_points.Registered": 550,
        "tests.support.kill_points.Announced": 650,
    },
    "SPIDER_MIDDLEWARES": {"tests.support.kill_points.Claimed": 50},
    "DOWNLOADER_MIDDLEWARES": {"tests.support.kill_points.Fetched": 800},
    "EXTENSIONS": {"tests.support.kill_points.Ends": 5},
}
