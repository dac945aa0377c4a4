"""The read side: the archive as a dataset. It reads through the store and the feed, and writes none.

Each snapshot holds its whole market day so far, so a day is folded from its snapshots: later ones
heal what an earlier one missed, revise its values, and forecast anew.
"""
