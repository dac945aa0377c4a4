"""Measure, and print the table: `python -m benchmarks [--small] [--rows 1,3]`.

Without --small, the rows that were run replace those in ``benchmarks/results.json`` and in the table of
the documentation.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from itertools import groupby, zip_longest

from benchmarks import archives, crawls, exported, following, objects
from benchmarks.table import kept, markdown, publish

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
    """Run the rows. Return 1 if a ratio of a small run is much worse than it should be.

    Its limit is twice its goal or, if the kept result misses the goal, twice that result.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--small", action="store_true", help="take a minute only, less exact")
    parser.add_argument("--rows", metavar="1,3", help="run only these rows")
    options = parser.parse_args()
    numbers = [int(number) for number in options.rows.split(",")] if options.rows else None
    lines = []
    for number in numbers or (SMALL if options.small else ROWS):
        begin = time.monotonic()
        lines += ROWS[number](small=options.small)
        print(f"row {number}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    print(markdown(lines))
    if not options.small:
        publish(lines)
        return 0
    before: dict[int, list[float]] = defaultdict(list)
    for line in kept():
        before[line.row].append(line.reached)
    gross = []
    for row, of_row in groupby(lines, key=lambda line: line.row):
        for line, was in zip_longest(of_row, before[row]):  # a new row has no result yet
            if line and line.gross(was if was is not None else line.goal or 0):
                gross.append(line)
    for line in gross:
        print(f"much worse than its goal, or than its kept result: {line.what}", file=sys.stderr)
    return 1 if gross else 0


if __name__ == "__main__":
    sys.exit(main())
