"""The format of the log: lines or JSON; and the size of progress bars."""
