"""The spiders: candidates and requests."""
