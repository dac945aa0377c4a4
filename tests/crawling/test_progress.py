"""The progress bar: for a person at a terminal who runs a range, and nobody else."""

import re

import pytest

from tests.support.terminal import at_a_terminal

START = "2025-12-05T12:00:00+00:00"
RANGE = ("-a", f"start={START}", "-a", "end=2025-12-05T12:25:00+00:00")
BAR = re.compile(r"(\d+)/6 \[")
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ \[[\w.]+\] [A-Z]+: ")


@pytest.fixture
def terminal(tmp_path, environment):
    """Run `scrapy crawl miso_rtload ARGS...` at a terminal; return what it showed."""

    def run(*args, env=None, size=(0, 0)):
        crawl = ["crawl", "miso_rtload", "-s", "MISO_MIN_INTERVAL=0", *args]
        return at_a_terminal(crawl, tmp_path, {**environment, **(env or {})}, *size)

    return run


@pytest.mark.parametrize("size", [(0, 0), (25, 0), (0, 120), (25, 120)])
def test_a_range_at_a_terminal_shows_a_bar_that_log_lines_do_not_tear(terminal, feed, size):
    feed.set(clock=START, advance=5, faults=["delay=0*3", "delay=0.5*2"])
    shown = terminal(*RANGE, size=size)
    counts = [int(count) for count in BAR.findall(shown)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 6)
    assert len(set(counts)) > 2
    assert "6 stored" in shown
    assert re.search(r"3/6 \[[\d:]+<[\d:]+, 3 stored\]", shown)  # time taken, time left
    # Wherever a log line begins, the terminal's line was empty: at its start, or cleared.
    lines = list(LINE.finditer(shown))
    assert len(lines) >= 9
    for line in lines:
        before = re.split(r"[\r\n]", shown[: line.start()])[-1]
        assert re.fullmatch(r"(\x1b\[A)*", before), repr(before)


def test_who_asked_for_one_candidate_or_json_or_is_no_terminal_gets_none(terminal, feed, crawl):
    feed.set(clock=START, advance=5)
    piped = crawl(start=START, end="2025-12-05T12:25:00+00:00")
    assert not BAR.search(piped.log)
    assert piped.lines("ERROR") == []
    one = terminal("-a", f"start={START}", "-a", f"end={START}")
    assert "skipped" in one
    assert "/1 [" not in one
    assert not BAR.search(terminal(*RANGE, env={"LOG_FORMAT": "json"}))
