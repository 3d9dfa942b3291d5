"""The transactional outbox: messages are inserted at the end of the transaction that adds them."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, driver, tracing
from chassis.driver import Sql
from chassis.ids import new_id, utcnow
from contracts.envelope import Envelope
from contracts.message import Event, Message

SHARDS = 16
PENDING = "outbox"
INSERT = Sql(
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
    """A message to insert at the end of the transaction, with the context in which it was added."""

    message: Message
    context: context.Context


def shard_of(subject: str) -> int:
    """The shard of a subject, in which its messages stay in order."""
    return zlib.crc32(subject.encode()) % SHARDS


def listed(answer: Answer) -> Sequence[Message]:
    """A handler's answer as a sequence of messages."""
    if answer is None:
        return ()
    return (answer,) if isinstance(answer, Message) else answer


def add(session: AsyncSession, *messages: Message) -> None:
    """Publish messages when this transaction commits, and only then."""
    now = context.current()
    waiting: list[Pending] = session.info.setdefault(PENDING, [])
    waiting.extend(Pending(message, now) for message in messages)


async def write(session: AsyncSession) -> list[Message]:
    """Insert the added messages in one statement; returns them."""
    waiting: list[Pending] = session.info.pop(PENDING, [])
    if not waiting:
        return []
    # Aggregates are flushed first: `seq` must be assigned after their rows are locked.
    await session.flush()
    rows = [row(pending) for pending in waiting]
    await driver.execute(session, INSERT, {name: [row[name] for row in rows] for name in rows[0]})
    return [pending.message for pending in waiting]


def row(pending: Pending) -> dict[str, Any]:
    """The outbox row of a message. Raises ValueError for an event without a sequence."""
    message, origin = pending.message, pending.context
    message_id: UUID = new_id()
    subject = message.subject()
    sequence = None
    if isinstance(message, Event):
        if message.sequence == 0:
            raise ValueError(f"{message.type_name()} has no sequence: its aggregate must record it")
        sequence = message.sequence
    envelope = Envelope(
        id=message_id,
        source=message.source(),
        type=message.type_name(),
        subject=subject,
        time=utcnow(),
        sequence=sequence,
        correlation_id=origin.correlation_id or message.correlation(),
        causation_id=origin.causation_id,
        actor=origin.actor,
        traceparent=origin.traceparent
        or context.traceparent_of(tracing.root_span(f"publish {message.routing_key()}")),
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
