"""The read side: the archive as a dataset. It only reads the archive, and changes nothing in it.

Each snapshot holds its whole market day so far. A market day is therefore folded from its snapshots:
a later snapshot heals intervals without a snapshot, revises values, and brings new forecasts.
"""

TABLES = ("load", "load_vintages", "forecast", "cleared", "snapshots")
"""The names of the tables."""
