"""A MISO look-alike: a plausible load for any day, in the live shape, with faults on demand."""
