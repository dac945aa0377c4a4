"""How fast the project is, as ratios against named peers. `make bench`, or `python -m benchmarks`."""
