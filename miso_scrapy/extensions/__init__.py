"""What a run has besides the way through: its connections, its counts, its discretion."""
