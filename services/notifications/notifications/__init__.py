"""Notifications: what people are told, in the app and by mail, each thing once."""
