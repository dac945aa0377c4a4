"""Connections: the store, the registry and the turns that the settings name."""
