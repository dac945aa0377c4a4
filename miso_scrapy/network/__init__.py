"""TLS for all connections: which servers are trusted."""
