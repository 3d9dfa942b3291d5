"""The message path: the relay sends, the consumer receives; services use `bus` and `outbox`."""
