"""Notifications about stored files."""
