"""The language the services share: every message on the broker, by the service that owns it."""
