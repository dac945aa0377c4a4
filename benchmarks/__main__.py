"""`python -m benchmarks [--small] [--rows 1,3]`: measure, and print the table.

A whole run, of every row and not a small one, is the one that counts: it writes
``benchmarks/results.json`` and the table of README.md.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import archives, crawls
from benchmarks.table import kept, markdown, publish

ROWS = {
    1: crawls.row_1,
    2: crawls.row_2,
    3: crawls.row_3,
    4: crawls.row_4,
    5: crawls.row_5,
    6: archives.row_6,
    7: archives.row_7,
}
# Those whose figures hold on a busy machine: no wall time, no year.
SMALL = (1, 2, 4, 5)


def main() -> int:
    """Run the rows; return 1 if a small run finds that a ratio has got much worse: twice its goal, or
    twice what was reached where that misses the goal.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--small", action="store_true", help="in a minute, and less exact")
    parser.add_argument("--rows", metavar="1,3", help="only these")
    options = parser.parse_args()
    numbers = [int(number) for number in options.rows.split(",")] if options.rows else None
    lines = []
    for number in numbers or (SMALL if options.small else ROWS):
        begin = time.monotonic()
        lines += ROWS[number](small=options.small)
        print(f"row {number}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    print(markdown(lines))
    if not (numbers or options.small):
        publish(lines)
    if not options.small:
        return 0
    before = [line.reached for line in kept() if line.row in {line.row for line in lines}]
    gross = [line for line, was in zip(lines, before, strict=True) if line.gross(was)]
    for line in gross:
        print(f"much worse than its goal, or than it was: {line.what}", file=sys.stderr)
    return 1 if gross else 0


if __name__ == "__main__":
    sys.exit(main())
