"""Moving dead letters from their queue into the database, where they can be searched.

A queue can only be emptied or left alone: looking at a quorum queue counts as a delivery of every
message in it, and from RabbitMQ 4.0 on a message delivered twenty times is dropped.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError
from sqlalchemy.dialects.postgresql import insert

from chassis.context import trace_id_of
from chassis.db import Database
from chassis.errors import Unavailable
from chassis.ids import new_id
from chassis.messaging import incoming
from chassis.ops.tables import dead_letters
from contracts.envelope import BadEnvelope, Envelope

CONNECT_TIMEOUT = 5.0
AT_ONCE = 200
MOST_FETCHED = 1000
Row = dict[str, Any]


class BrokerUnavailable(Unavailable):
    """The broker is away; try again soon."""

    code = "broker_unavailable"


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many dead letters were moved into the table, and how many their queue still holds."""

    count: int
    in_queue: int


async def fetch(database: Database, broker_url: str, service: str, limit: int) -> Fetched:
    """Move dead letters of the service into its table, at most `limit` of them.

    A letter leaves its queue only after it was committed; one fetched again is known by its digest.
    Raises BrokerUnavailable.
    """
    moved = 0
    try:
        connection = await aio_pika.connect(broker_url, timeout=CONNECT_TIMEOUT)
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            name = f"svc.{service}.dead"
            queue = await channel.get_queue(name, ensure=True)
            while letters := await _take(queue, min(AT_ONCE, limit - moved)):
                async with database.transaction() as tx:
                    rows = [row_of(letter, service) for letter in letters]
                    statement = insert(dead_letters).on_conflict_do_nothing(
                        index_elements=["digest"]
                    )
                    await tx.execute(statement, rows)
                await letters[-1].ack(multiple=True)
                moved += len(letters)
            left = await channel.declare_queue(name, passive=True)
            return Fetched(moved, left.declaration_result.message_count or 0)
    except (AMQPError, OSError, TimeoutError) as error:
        raise BrokerUnavailable from error


async def _take(queue: Any, most: int) -> Sequence[AbstractIncomingMessage]:
    letters: list[AbstractIncomingMessage] = []
    while len(letters) < most:
        letter = await queue.get(fail=False)
        if letter is None:
            break
        letters.append(letter)
    return letters


def row_of(letter: AbstractIncomingMessage, service: str) -> Row:
    """The table's row of a dead letter: its envelope, where it has one, and what went wrong."""
    headers = plain(letter.headers)
    try:
        envelope = Envelope.of(headers)
    except BadEnvelope:
        envelope = None
    digest = hashlib.sha256()
    for part in (letter.message_id, headers.get(incoming.LAST_FAILED), _deaths(letter.headers)):
        digest.update(str(part).encode() + b"\0")
    digest.update(letter.body)
    return {
        "id": new_id(),
        "digest": digest.digest(),
        "message_id": envelope.id if envelope else None,
        "type": envelope.type if envelope else str(letter.type or "unknown"),
        "subject": envelope.subject if envelope else "",
        "correlation_id": envelope.correlation_id if envelope else None,
        "trace_id": trace_id_of(envelope.traceparent) if envelope else None,
        "sender": incoming.sender_of(letter, service),
        "error": str(headers.get(incoming.ERROR) or _why_the_broker(letter.headers)),
        "error_detail": str(headers.get(incoming.ERROR_DETAIL, "")),
        "attempts": incoming.attempts_of(letter),
        "first_failed_at": _instant(headers.get(incoming.FIRST_FAILED)),
        "last_failed_at": _instant(headers.get(incoming.LAST_FAILED)),
        "headers": headers,
        "body": letter.body,
        "size": len(letter.body),
    }


def plain(headers: Mapping[str, Any]) -> dict[str, str | int]:
    """The headers that JSON can hold; the broker's own notes of deaths are left out."""
    kept: dict[str, str | int] = {}
    for name, value in headers.items():
        if isinstance(value, bytes):
            kept[name] = value.decode(errors="replace").replace("\x00", "")
        elif isinstance(value, str):
            kept[name] = value.replace("\x00", "")
        elif isinstance(value, int):
            kept[name] = value
    return {name: value for name, value in kept.items() if not name.startswith("x-death")}


def _deaths(headers: Mapping[str, Any]) -> object:
    return [death.get("time") for death in headers.get("x-death") or () if isinstance(death, dict)]


def _why_the_broker(headers: Mapping[str, Any]) -> str:
    """The broker's own reason, such as `delivery_limit`: its consumer died holding the message."""
    reason = headers.get("x-first-death-reason") or headers.get("x-last-death-reason")
    if isinstance(reason, bytes):
        reason = reason.decode(errors="replace")
    return f"broker: {reason}" if reason else "unknown"


def _instant(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
