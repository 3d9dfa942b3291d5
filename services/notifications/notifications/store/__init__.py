"""Every query of notifications, by noun."""
