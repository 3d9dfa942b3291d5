"""Every message on the broker, by the service that owns it."""
