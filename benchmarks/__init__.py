"""Measure how fast the project is, as ratios to named peers: `make bench`, or `python -m benchmarks`."""
