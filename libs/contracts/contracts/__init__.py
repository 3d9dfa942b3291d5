"""The language the services share: every message on the broker, grouped by the service that owns it."""
