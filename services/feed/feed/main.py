"""Composition of the feed: its tables and routes, and the reading of the log."""

from chassis.service import Service
from feed.api import routers
from feed.domain import Base
from feed.handlers import bus
from feed.reading import follow_log, forget_old
from feed.settings import FeedSettings

service = Service(
    "feed",
    FeedSettings,
    Base.metadata,
    routers,
    bus,
    sweeps=[forget_old],
    background=[follow_log],
)
