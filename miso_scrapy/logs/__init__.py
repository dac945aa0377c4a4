"""The log of a run: its handler, formats and messages; and the size of progress bars."""
