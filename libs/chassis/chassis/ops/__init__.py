"""What an operator may see and do in a service: outbox, dead letters, replay, and its audit."""
