"""`scrapy simulate`: serve a simulated MISO feed on localhost, optionally while a command runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand

from miso_scrapy.cli.usage import StrictUsage, say, usage_error
from miso_scrapy.options import local_path
from miso_scrapy.text.wording import count

if TYPE_CHECKING:
    from miso_scrapy.simulator.server import Simulator


DATA_DIR = "simulated"
"""The directory in which a command files snapshots by default."""
PLACES = (
    "S3_BUCKET",
    "REDIS_URL",
    "REDIS_HOST",
    "KAFKA_BROKERS",
    "KAFKA_TOPIC",
    "METRICS_FILE",
    "MISO_TABLES",
)
"""Environment variables that name other targets to which a run writes."""


class Command(StrictUsage, ScrapyCommand):
    """Serve simulated snapshots until stopped, or while a command runs."""

    warns = False
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        """Return the arguments."""
        return "[options] [-- COMMAND ...]"

    def short_desc(self) -> str:
        """Return the description."""
        return "Serve a simulated MISO feed on localhost"

    def long_desc(self) -> str:
        """Return the long description."""
        from miso_scrapy.simulator.server import FAULTS  # importing aiohttp takes a while

        return (
            "Serve a simulated MISO feed on localhost until stopped. With COMMAND, run it and exit with "
            "its status; its MISO_API_URL is set to the feed, and its MISO_MIN_INTERVAL to 0 unless it "
            f"is set already. COMMAND files in ./{DATA_DIR}: MISO_DATA_DIR is set to it, and "
            f"{', '.join(PLACES)} and SPIDERMON_... are removed from its environment. "
            "Faults, each for a number of requests or always: "
            + "; ".join(f"{kind}: {what}" for kind, what in FAULTS.items())
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the simulator's options."""
        super().add_options(parser)
        parser.add_argument(
            "--port", type=int, help="port (default: 8765; a free one with COMMAND)"
        )
        parser.add_argument(
            "--seed", type=int, default=0, help="seed of the simulated load (default: 0)"
        )
        parser.add_argument(
            "--clock", metavar="TIME", help="start of the simulated clock (default: now)"
        )
        parser.add_argument(
            "--advance",
            type=float,
            metavar="MINUTES",
            help="advance the clock by this with each snapshot served",
        )
        parser.add_argument(
            "--fault",
            action="append",
            default=[],
            metavar="KIND[=VALUE][*TIMES]",
            help="a fault to simulate; can be repeated",
        )
        parser.add_argument(
            "--keep-environment",
            action="store_true",
            help="do not change the targets in the environment of COMMAND, such as S3_BUCKET",
        )
        parser.add_argument(
            "--write",
            metavar="DIRECTORY",
            help="do not serve, but write an archive of --start to --end there",
        )
        parser.add_argument("--start", metavar="DAY", help="with --write: first market day")
        parser.add_argument("--end", metavar="DAY", help="with --write: market day to stop before")
        parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Serve the feed, or write an archive."""
        from miso_scrapy.simulator.server import Fault, Simulator

        command = opts.command[1:] if opts.command[:1] == ["--"] else opts.command
        if opts.write:
            try:
                root = local_path("--write", opts.write)
            except ValueError as error:
                usage_error("simulate", error)
            self.exitcode = _write(root, opts)
            return
        if opts.start or opts.end:
            usage_error("simulate", "--start and --end belong to --write: the clock is --clock")
        if opts.port is not None and not 0 <= opts.port <= 65535:
            usage_error("simulate", f"--port {opts.port} must be 0 to 65535")
        if opts.advance is not None and not 0 <= opts.advance <= 1e6:
            usage_error("simulate", f"--advance {opts.advance} must be 0 to 1000000 minutes")
        try:
            clock = _time(opts.clock) if opts.clock else None
            simulator = Simulator(
                seed=opts.seed,
                clock=clock,
                advance=None if opts.advance is None else timedelta(minutes=opts.advance),
                faults=[Fault.parse(fault) for fault in opts.fault],
            )
        except ValueError as error:
            usage_error("simulate", error)
        port = opts.port if opts.port is not None else 0 if command else 8765
        with contextlib.suppress(KeyboardInterrupt):
            self.exitcode = asyncio.run(
                _serve(simulator, port, command, keep_environment=opts.keep_environment)
            )


def _write(root: Path, opts: argparse.Namespace) -> int:
    from miso_scrapy.archive.identity import WrongArchive
    from miso_scrapy.dataset.workers import workers
    from miso_scrapy.simulator.writer import begin, write_day
    from miso_scrapy.store import StoreUnavailable

    try:
        start, end = (date.fromisoformat(text or "") for text in (opts.start, opts.end))
    except ValueError:
        usage_error(
            "simulate", "--write needs --start and --end, such as 2025-12-05 and 2025-12-08"
        )
    days = [start + timedelta(days=number) for number in range((end - start).days)]
    if not days:
        usage_error(
            "simulate", f"--end {end} must be after --start {start}: the end is not included"
        )
    try:
        begin(root)
        with workers(len(days)) as spread:
            written = sum(spread(partial(write_day, root, opts.seed), days))
    except WrongArchive:
        say("simulate", f"--write {root}: it holds real snapshots; choose another directory")
        return 1
    except StoreUnavailable as error:
        usage_error("simulate", error)
    except OSError as error:
        usage_error("simulate", f"--write {root}: {error.filename}: {error.strerror}")
    done = f"{count(written, 'snapshot')} of {count(len(days), 'day')} written below {root}"
    print(done)  # noqa: T201
    return 0


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"--clock {text!r} must be a time, such as 2025-12-05T12:00Z") from None
    return time.replace(tzinfo=time.tzinfo or UTC)


def _environment(url: str, *, keep: bool) -> dict[str, str]:
    """Return the environment of a command that uses the feed at *url*.

    Without *keep* it names no target of real data.
    """
    environment = {"MISO_MIN_INTERVAL": "0", **os.environ, "MISO_API_URL": url}
    if not keep:
        environment["MISO_DATA_DIR"] = str(Path(DATA_DIR).absolute())
        for name in [*environment]:
            if name in PLACES or name.startswith("SPIDERMON_"):
                del environment[name]
    return environment


async def _serve(
    simulator: Simulator, port: int, command: list[str], *, keep_environment: bool
) -> int:
    try:
        url = await simulator.start(port)
    except OSError as error:
        usage_error("simulate", f"port {port}: {error.strerror}; choose another with --port")
    try:
        if not command:
            variables = f"MISO_API_URL={url} MISO_MIN_INTERVAL=0"
            print(f"Serving until Ctrl-C. In another terminal: export {variables}")  # noqa: T201
            sys.stdout.flush()
            await asyncio.Event().wait()
        try:
            process = await asyncio.create_subprocess_exec(
                *command, env=_environment(url, keep=keep_environment)
            )
        except OSError as error:
            usage_error("simulate", f"{command[0]}: {error.strerror}")
        try:
            status = await process.wait()
        except asyncio.CancelledError:  # Ctrl-C reached the command too: let it finish
            status = await process.wait()
        return status if status >= 0 else 128 - status  # as a shell reports a signal
    finally:
        await simulator.stop()
