"""The feed's routes."""

from feed.api import events, subscribers

routers = [events.router, subscribers.router]
