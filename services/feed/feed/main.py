"""Composition of the feed: its tables and routes, and the copy of the log."""

from chassis.db import Database
from chassis.service import Service
from chassis.sweep import Sweep
from feed import jobs
from feed.api import admin_router, router
from feed.domain import Base
from feed.handlers import bus
from feed.settings import FeedSettings


async def delete_expired_events(database: Database) -> int:
    return await jobs.delete_expired_events(database, bus.settings.keep_days)


service = Service(
    "feed",
    FeedSettings,
    Base.metadata,
    [router, admin_router],
    bus,
    sweeps=[Sweep("expired events", delete_expired_events, every=3600)],
    background=[jobs.copy_log],
)
