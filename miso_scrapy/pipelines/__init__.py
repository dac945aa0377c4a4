"""The item pipelines, one per module: validate, identity, freshness, coverage, dedupe, rows, store,
register, notify.
"""
