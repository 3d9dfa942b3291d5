"""Replays events of the log to this service alone, with their original ids.

Without force only events that the inbox does not know are republished: lost ones are recovered, and
none takes effect twice. With force the inbox rows are deleted first, and every handler runs again.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import inbox, outbox, tables
from chassis.messaging import incoming
from chassis.ops import audit, event_log
from chassis.ops.dead_letters import REOPEN, WORK_KEY
from chassis.ops.event_log import EventLog, Start, offset_of
from chassis.ops.fetching import plain
from contracts import registry
from contracts.envelope import BadEnvelope, Envelope

REPLAYED = "x-replay"
MAX_READ = 5000
KNOWN = text(
    "select message_id from inbox where consumer = :consumer "
    "and message_id = any(cast(:ids as uuid[]))"
)
FORGET = text(
    "delete from inbox where consumer = :consumer and message_id = any(cast(:ids as uuid[]))"
)


@dataclass(frozen=True, slots=True)
class Logged:
    """An event of the log."""

    envelope: Envelope
    message: AbstractIncomingMessage


@dataclass(slots=True)
class Collected:
    """The selected events, the number of events read, and the offset to continue from."""

    events: list[Logged] = field(default_factory=list)
    read: int = 0
    next_offset: int | None = None
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The number republished, and skipped as known or as older than the inbox."""

    count: int
    known: int
    too_old: int
    shards: set[int]


async def collect(
    log: EventLog, start: Start, limit: int, wanted: Callable[[Envelope], bool]
) -> Collected:
    """Read selected events from a start, until there are `limit` of them or the log ends."""
    found = Collected()
    end = await log.end()
    if end is None:
        found.finished = True
        return found
    while True:
        before = found.read
        past_the_end = isinstance(start, int) and start > end
        wait = event_log.END_AFTER if past_the_end else event_log.FIRST_WAIT
        async with aclosing(log.read(start, wait)) as messages:
            async for message in messages:
                found.read += 1
                found.next_offset = offset_of(message) + 1
                logged = _logged(message)
                if logged is not None and wanted(logged.envelope):
                    found.events.append(logged)
                if len(found.events) >= limit or found.read >= MAX_READ:
                    return found
        if found.next_offset is None or found.next_offset > end or found.read == before:
            found.finished = True
            return found
        start = found.next_offset


async def republish(
    tx: AsyncSession, service: str, events: Sequence[Logged], *, force: bool, reason: str
) -> Replayed:
    """Add events to the outbox for this service's queue alone, and record it in the audit trail."""
    unique = {event.envelope.id: event for event in events}
    oldest = await inbox.oldest(tx)
    old = [each for each in unique if each < oldest]
    known = await _known(tx, service, list(unique))
    if force:
        await tx.execute(REOPEN, {"ids": old})
        await tx.execute(FORGET, {"consumer": service, "ids": list(known)})
        chosen = list(unique.values())
    else:
        left = known | set(old)
        chosen = [event for each, event in unique.items() if each not in left]
    if chosen:
        await tx.execute(insert(tables.outbox), [_row(event, service) for event in chosen])
    done = Replayed(
        len(chosen),
        0 if force else len(known),
        0 if force else len(set(old) - known),
        {outbox.shard_of(event.envelope.subject) for event in chosen},
    )
    after = {"replayed": done.count, "known": done.known, "too_old": done.too_old, "force": force}
    await audit.record(tx, "replay", _range(events), reason, after=after)
    return done


async def _known(tx: AsyncSession, service: str, ids: list[UUID]) -> set[UUID]:
    found = await tx.execute(KNOWN, {"consumer": service, "ids": ids})
    return set(found.scalars())


def _logged(message: AbstractIncomingMessage) -> Logged | None:
    """An event with its envelope, or None for a message without one."""
    try:
        return Logged(Envelope.of(message.headers), message)
    except BadEnvelope:
        return None


def _row(event: Logged, service: str) -> dict[str, Any]:
    message, envelope = event.message, event.envelope
    kind = registry.find(envelope.type)
    sender = message.user_id or (kind.owner() if kind else "")
    headers = {n: v for n, v in plain(message.headers).items() if n != "x-stream-offset"}
    return {
        "message_id": envelope.id,
        "shard": outbox.shard_of(envelope.subject),
        "subject": envelope.subject,
        "exchange": f"svc.{service}.retry",
        "routing_key": WORK_KEY,
        "headers": {**headers, incoming.SENDER: sender, REPLAYED: 1},
        "body": message.body,
    }


def _range(events: Sequence[Logged]) -> str:
    if not events:
        return "events.log"
    return f"events.log {offset_of(events[0].message)}..{offset_of(events[-1].message)}"
