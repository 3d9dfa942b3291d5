"""The routes of notifications, by noun."""

from notifications.api import emails, notifications, preferences

ROUTERS = (notifications.router, preferences.router, emails.router)
