"""The feed's routes."""

from feed.api import events, snapshots, subscribers

routers = [events.router, snapshots.router, subscribers.router]
