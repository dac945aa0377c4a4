"""Connections to the store, the registry and the feed's turns that the settings configure."""
