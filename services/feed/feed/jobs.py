"""Copies the log into the feed's database and deletes events past their retention."""

from typing import Literal

import structlog

from chassis.db import Database
from chassis.ids import utcnow
from chassis.service import Running
from feed import store
from feed.settings import FeedSettings
from subscriber import Log

log = structlog.get_logger()

BATCH = 500
# Clients poll seconds apart; a transaction for each event would cost more than it gains them.
LINGER = 0.25


async def copy_log(running: Running[FeedSettings]) -> None:
    """Append every event after the newest stored one, until the connection is lost.

    A recreated log counts its offsets from 0 again: its events are appended behind those of the
    former log, so that cursors stay valid. A log that no longer holds the newest stored event may
    have lost further events: all events before its first one are deleted, so that an older cursor
    is refused as expired instead of skipping the gap.

    Raises LogEnded when the connection is lost; the chassis restarts the job.
    """
    events = Log(running.settings.broker_url)
    async with running.database.transaction() as tx:
        position = await store.get_log_position(tx)
    state = await _state_of(events, position)
    if state == "recreated":
        async with running.database.transaction() as tx:
            position = await store.start_log(tx, position)
        log.warning("log was recreated", start=position.start)
    offset = None if position.offset is None else position.offset + 1
    log.info("copying the log", start=position.start, offset=offset)
    async for batch in events.read(offset, batch=BATCH, linger=LINGER):
        async with running.database.transaction() as tx:
            await store.append_events(tx, batch, position.start)
            if state == "truncated":
                oldest = position.start + batch[0].offset
                log.error("log was truncated before its events were copied", oldest=oldest)
                await store.delete_events_before(tx, oldest)
        state = "intact"


async def _state_of(
    events: Log, position: store.LogPosition
) -> Literal["intact", "truncated", "recreated"]:
    """Compare the log with the newest stored event: still there, deleted, or another log.

    The event is read, since offsets alone prove nothing: each new segment of a log skips one.
    """
    if position.offset is None:
        return "intact"
    end = await events.end()
    if end is None or end < position.offset:
        return "recreated"
    async for batch in events.read(position.offset, until=position.offset):
        return "intact" if str(batch[0].envelope.id) == position.event_id else "recreated"
    return "truncated"


async def delete_expired_events(database: Database, retention_days: int) -> int:
    """Delete one batch of events past their retention; returns how many."""
    async with database.transaction() as tx:
        return await store.delete_expired_events(tx, utcnow(), retention_days)
