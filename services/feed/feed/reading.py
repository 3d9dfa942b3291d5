"""Reading the log into the feed's own database, and forgetting what is older than is promised."""

from typing import Literal

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
LINGER = 0.25


async def follow_log(running: Running[FeedSettings]) -> None:
    """Keep every event behind the newest that is held, until the connection is lost.

    A log that was made anew counts its events from 0 again: it is held behind the former one, so
    that cursors go on. Where the log has forgotten what was read last, it may have forgotten more:
    what is held from before its first event is forgotten too, so that nobody reads over a hole.

    Raises LogEnded when the connection is lost; whoever runs it begins again.
    """
    events = Log(running.settings.broker_url)
    async with running.database.transaction() as tx:
        place = await store.get_place(tx)
    held = await _newest_in(events, place)
    if held == "another":
        async with running.database.transaction() as tx:
            place = await store.begin_anew(tx, place)
        log.warning("the log was made anew", goes_on_at=place.start)
    after = None if place.offset is None else place.offset + 1
    log.info("following the log", start=place.start, offset=after)
    async for batch in events.read(after, batch=BATCH, linger=LINGER):
        async with running.database.transaction() as tx:
            await store.keep(tx, batch, place.start)
            if held == "forgotten":
                oldest = place.start + batch[0].offset
                log.error("the log forgot events before they were read", before=oldest)
                await store.forget_before(tx, oldest)
        held = "there"


async def _newest_in(events: Log, place: store.Place) -> Literal["there", "forgotten", "another"]:
    """What the log holds at the newest event's offset: that event, nothing any more, or another.

    Offsets alone would not tell: they leave one out wherever the log begins a new segment.
    """
    if place.offset is None:
        return "there"
    end = await events.end()
    if end is None or end < place.offset:
        return "another"
    async for batch in events.read(place.offset, until=place.offset):
        return "there" if str(batch[0].envelope.id) == place.event_id else "another"
    return "forgotten"


async def _forget(database: Database) -> int:
    async with database.transaction() as tx:
        return await store.forget(tx, utcnow(), bus.settings.keep_days)


forget_old = Sweep("old events", _forget, every=DAY / 24)
