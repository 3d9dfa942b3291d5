"""A payment provider of its own: charges, a double-entry ledger, signed webhooks and faults."""
