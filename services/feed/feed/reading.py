"""Reading the log into the feed's own database, and forgetting what is older than is promised."""

import structlog

from chassis.db import Database
from chassis.ids import utcnow
from chassis.service import Running
from chassis.sweep import Sweep
from feed import store
from feed.handlers import bus
from feed.settings import FeedSettings
from subscriber import Log

log = structlog.get_logger()

DAY = 86400.0
BATCH = 500
# A poll comes seconds after an event; a transaction for each one would cost more than its service.
LINGER = 0.1


class LogIsYounger(Exception):
    """The log ends before what the feed holds: it was made anew, and its positions begin again."""


async def follow_log(running: Running[FeedSettings]) -> None:
    """Keep every event behind the newest that is held, until the connection is lost.

    Raises LogEnded then, and LogIsYounger when the positions no longer mean the same events;
    whoever runs it begins again.
    """
    events = Log(running.settings.broker_url)
    async with running.database.transaction() as tx:
        bounds = await store.get_bounds(tx)
    if bounds is not None and (await events.end() or 0) < bounds[1]:
        raise LogIsYounger(f"the log ends before position {bounds[1]}")
    log.info("following the log", behind=bounds[1] if bounds else None)
    start = bounds[1] + 1 if bounds else None
    async for batch in events.read(start, batch=BATCH, linger=LINGER):
        async with running.database.transaction() as tx:
            await store.keep(tx, batch)


async def _forget(database: Database) -> int:
    async with database.transaction() as tx:
        return await store.forget(tx, utcnow(), bus.settings.keep_days)


forget_old = Sweep("old events", _forget, every=DAY / 24)
