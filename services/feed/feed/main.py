"""Composition of the feed: its tables and routes, and the copy of the log."""

from collections.abc import Sequence

from chassis.db import Database
from chassis.service import Running, Service
from chassis.sweep import Sweep
from feed import jobs
from feed.api import admin_router, router
from feed.domain import Base
from feed.handlers import bus
from feed.settings import FeedSettings


def sweeps(running: Running[FeedSettings]) -> Sequence[Sweep]:
    async def delete_expired_events(database: Database) -> int:
        return await jobs.delete_expired_events(database, running.settings.keep_days)

    return [Sweep("expired events", delete_expired_events, every=3600)]


service = Service(
    "feed",
    FeedSettings,
    Base.metadata,
    [router, admin_router],
    bus,
    sweeps=sweeps,
    background=[jobs.copy_log],
)
