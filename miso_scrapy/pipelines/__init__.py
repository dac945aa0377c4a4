"""The way through, one room a module: validate, coverage, dedupe, store, register, notify."""
