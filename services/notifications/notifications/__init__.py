"""Notifications: messages to users, in the app and by mail, each sent once."""
