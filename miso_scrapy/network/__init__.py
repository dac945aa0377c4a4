"""What connections have in common: which servers are trusted."""
