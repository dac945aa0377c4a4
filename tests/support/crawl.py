"""A `scrapy crawl` that a test runs: in the background, and what it did once it has ended."""

import ast
import contextlib
import functools
import re
import subprocess
from dataclasses import dataclass, field

from tests.support import warm_start
from tests.support.project import SCRAPY

MONITORS = "[miso_scrapy.extensions.monitors]"
NAMES = ("candidates", "stored", "duplicate", "skipped", "uncovered", "invalid", "failed")


@dataclass
class Run:
    """A finished `scrapy crawl`."""

    status: int
    log: str
    stats: dict = field(init=False)

    def __post_init__(self):
        dumped = re.findall(r"^[ {]'([^']+)': ([^\n]*?)[,}]$", self.log, re.MULTILINE)
        self.stats = {name: _literal(value) for name, value in dumped}

    @property
    def outcomes(self):
        """The outcomes that happened: {"stored": 3}, without the zeros. They must add up."""
        counts = {name: self.stats.get(f"miso/{name}", 0) for name in NAMES}
        assert counts.pop("candidates") == sum(counts.values()), self.log
        return {name: count for name, count in counts.items() if count}

    def lines(self, level):
        """The log lines of *level*, without those of the monitors, who judge the others."""
        lines = [line for line in self.log.splitlines() if f"] {level}: " in line]
        return [line for line in lines if MONITORS not in line]

    @property
    def monitors(self):
        """What the monitors warn of: {monitor: line}."""
        return dict(re.findall(rf"{re.escape(MONITORS)} WARNING: monitor ([^:]+): (.*)", self.log))


def _literal(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@contextlib.contextmanager
def started(cwd, environment, *args, output=subprocess.PIPE):
    """Start `scrapy crawl miso_rtload ARGS...`: a process with its output, as text, in `.stdout`.

    Or in *output*, an open file.
    """
    # The clock of libfaketime that FAKETIME sets begins with the interpreter.
    cold = functools.partial(subprocess.Popen, text=True)
    process = (cold if "FAKETIME" in environment else warm_start.Process)(
        [SCRAPY, "crawl", "miso_rtload", *args],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def read_until(process, text, times=1):
    """Read the output of *process* up to the line that holds *text* for the so-manieth time."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        times -= text in line
        if not times:
            return seen
    raise AssertionError(f"{text!r} was never logged:\n{''.join(seen)}")


def wait_for(event, process):
    """Wait until *event* is set; a process that ended will not set it any more."""
    while not event.wait(0.1):
        assert process.poll() is None, process.stdout.read()
