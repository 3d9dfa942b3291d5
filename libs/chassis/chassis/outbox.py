"""The transactional outbox: messages become rows at the end of the transaction that caused them."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, tracing
from chassis.crashpoints import Point, reached
from chassis.ids import new_id, utcnow
from contracts.envelope import Envelope
from contracts.message import Event, Message

SHARDS = 16
PENDING = "outbox"
INSERT = text(
    "insert into outbox (message_id, shard, subject, exchange, routing_key, headers, body) "
    "select message_id, shard, subject, exchange, routing_key, cast(headers as jsonb), body "
    "from unnest(cast(:message_id as uuid[]), cast(:shard as smallint[]), "
    "cast(:subject as text[]), cast(:exchange as text[]), cast(:routing_key as text[]), "
    "cast(:headers as text[]), cast(:body as bytea[])) with ordinality as new(message_id, shard, "
    "subject, exchange, routing_key, headers, body, place) order by place"
)

Answer = Message | Sequence[Message] | None


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that waits for the end of its transaction, with the context it was said in."""

    message: Message
    context: context.Context


def shard_of(subject: str) -> int:
    """The shard that keeps one aggregate's messages in order."""
    return zlib.crc32(subject.encode()) % SHARDS


def listed(answer: Answer) -> Sequence[Message]:
    """What a handler returned, as a list."""
    if answer is None:
        return ()
    return (answer,) if isinstance(answer, Message) else answer


def add(session: AsyncSession, *messages: Message) -> None:
    """Send messages when this transaction commits, and not otherwise."""
    now = context.current()
    waiting: list[Pending] = session.info.setdefault(PENDING, [])
    waiting.extend(Pending(message, now) for message in messages)


async def write(session: AsyncSession) -> list[Message]:
    """Write what was added as rows, in one statement; returns the messages."""
    waiting: list[Pending] = session.info.pop(PENDING, [])
    if not waiting:
        return []
    # The aggregates are flushed first: their row locks must be held before a sequence is taken.
    await session.flush()
    rows = [row(pending) for pending in waiting]
    await session.execute(INSERT, {name: [row[name] for row in rows] for name in rows[0]})
    reached(Point.BEFORE_COMMIT, (pending.message.routing_key() for pending in waiting))
    return [pending.message for pending in waiting]


def row(pending: Pending) -> dict[str, Any]:
    """The outbox row of a message: its envelope as headers, its data as bytes."""
    message, said_in = pending.message, pending.context
    message_id: UUID = new_id()
    subject = message.subject()
    sequence = None
    if isinstance(message, Event):
        if message.sequence == 0:
            raise ValueError(f"{message.type_name()} was never numbered by its aggregate")
        sequence = message.sequence
    envelope = Envelope(
        id=message_id,
        source=message.source(),
        type=message.type_name(),
        subject=subject,
        time=utcnow(),
        sequence=sequence,
        correlation_id=said_in.correlation_id or message.correlation(),
        causation_id=said_in.causation_id,
        actor=said_in.actor,
        traceparent=said_in.traceparent or tracing.root_span(f"say {message.routing_key()}"),
    )
    return {
        "message_id": message_id,
        "shard": shard_of(subject),
        "subject": subject,
        "exchange": message.exchange(),
        "routing_key": message.address(),
        "headers": json.dumps(envelope.headers()),
        "body": message.encode(),
    }
