"""The operator's view of a service: status, outbox, dead letters, replay and the audit trail."""
