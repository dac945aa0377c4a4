"""Measure, and print the table: `python -m benchmarks [--small] [--rows 1,3]`.

Without --small, the rows that were run replace those in ``benchmarks/results.json`` and in the table of
the documentation.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import zip_longest

from benchmarks import archives, crawls, exported, following, objects
from benchmarks.table import Line, kept, markdown, publish

ROWS = {
    1: crawls.row_1,
    2: crawls.row_2,
    3: crawls.row_3,
    4: crawls.row_4,
    5: crawls.row_5,
    6: archives.row_6,
    7: archives.row_7,
    8: following.row_8,
    9: following.row_9,
    10: following.row_10,
    20: objects.row_20,
    21: objects.row_21,
    22: exported.row_22,
    23: objects.row_23,
}
# The rows with reliable figures on a busy machine: they measure no wall time and no year of files.
SMALL = (1, 2, 4, 5)


def main() -> int:
    """Run the rows. Return 1 if a ratio of a small run is much worse than it should be, in two tries.

    Its limit is twice its goal or, if the kept result misses the goal, twice that result.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--small", action="store_true", help="take a few minutes only, less exact")
    parser.add_argument("--rows", metavar="1,3", help="run only these rows")
    options = parser.parse_args()
    numbers = [int(number) for number in options.rows.split(",")] if options.rows else None
    lines: list[Line] = []
    gross: list[str] = []
    for number in numbers or (SMALL if options.small else ROWS):
        of_row = _measured(number, small=options.small)
        if options.small and _gross(number, of_row):
            # The speed of a shared machine was seen to change by a factor of two within seconds.
            print(f"row {number} is much worse than it should be: once more", file=sys.stderr)
            of_row = _measured(number, small=True)
            gross += _gross(number, of_row)
        lines += of_row
    print(markdown(lines))
    if not options.small:
        publish(lines)
    for what in gross:
        print(f"much worse than its goal, or than its kept result: {what}", file=sys.stderr)
    return 1 if gross else 0


def _measured(number: int, *, small: bool) -> list[Line]:
    begin = time.monotonic()
    lines = ROWS[number](small=small)
    print(f"row {number}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return lines


def _gross(number: int, lines: list[Line]) -> list[str]:
    """Return what of row *number* is much worse than its goal and its kept result."""
    before = [line.reached for line in kept() if line.row == number]
    return [
        line.what
        for line, was in zip_longest(lines, before[: len(lines)])  # a new row has no result yet
        if line.gross(was if was is not None else line.goal or 0)
    ]


if __name__ == "__main__":
    sys.exit(main())
