"""Simulate the MISO feed: a plausible load for any day, in the live shape, with faults on demand."""
