"""The archive: key layout, documents, records, identity, quarantine."""
