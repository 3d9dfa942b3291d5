"""Moves dead letters from their queue into the database, where they can be searched.

A quorum queue cannot be browsed: reading a message counts as a delivery, and RabbitMQ 4 drops a
message that was delivered twenty times.
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
BATCH_SIZE = 200
MAX_FETCHED = 1000
Row = dict[str, Any]


class BrokerUnavailable(Unavailable):
    """The broker is unavailable; try again soon."""

    code = "broker_unavailable"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The number of dead letters moved into the table, and of those still in the queue."""

    count: int
    in_queue: int


async def fetch(database: Database, broker_url: str, service: str, limit: int) -> Fetched:
    """Move dead letters of the service into its table, at most `limit` of them.

    Each is acknowledged after the commit; one that is fetched twice has the same digest.
    Raises BrokerUnavailable.
    """
    moved = 0
    try:
        connection = await aio_pika.connect(broker_url, timeout=CONNECT_TIMEOUT)
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            name = f"svc.{service}.dead"
            queue = await channel.get_queue(name, ensure=True)
            while messages := await _get_batch(queue, min(BATCH_SIZE, limit - moved)):
                async with database.transaction() as tx:
                    rows = [row_of(message, service) for message in messages]
                    statement = insert(dead_letters).on_conflict_do_nothing(
                        index_elements=["digest"]
                    )
                    await tx.execute(statement, rows)
                await messages[-1].ack(multiple=True)
                moved += len(messages)
            left = await channel.declare_queue(name, passive=True)
            return Fetched(moved, left.declaration_result.message_count or 0)
    except (AMQPError, OSError, TimeoutError) as error:
        raise BrokerUnavailable from error


async def _get_batch(queue: Any, most: int) -> Sequence[AbstractIncomingMessage]:
    messages: list[AbstractIncomingMessage] = []
    while len(messages) < most:
        message = await queue.get(fail=False)
        if message is None:
            break
        messages.append(message)
    return messages


def row_of(message: AbstractIncomingMessage, service: str) -> Row:
    """The table's row of a dead letter, with its envelope, if any, and its error."""
    headers = plain(message.headers)
    try:
        envelope = Envelope.of(headers)
    except BadEnvelope:
        envelope = None
    digest = hashlib.sha256()
    for part in (message.message_id, headers.get(incoming.LAST_FAILED), _deaths(message.headers)):
        digest.update(str(part).encode() + b"\0")
    digest.update(message.body)
    return {
        "id": new_id(),
        "digest": digest.digest(),
        "message_id": envelope.id if envelope else None,
        "type": envelope.type if envelope else str(message.type or "unknown"),
        "subject": envelope.subject if envelope else "",
        "correlation_id": envelope.correlation_id if envelope else None,
        "trace_id": trace_id_of(envelope.traceparent) if envelope else None,
        "sender": incoming.sender_of(message, service),
        "error": str(headers.get(incoming.ERROR) or _reason_of_broker(message.headers)),
        "error_detail": str(headers.get(incoming.ERROR_DETAIL, "")),
        "attempts": incoming.attempts_of(message),
        "first_failed_at": _parse_time(headers.get(incoming.FIRST_FAILED)),
        "last_failed_at": _parse_time(headers.get(incoming.LAST_FAILED)),
        "headers": headers,
        "body": message.body,
        "size": len(message.body),
    }


def plain(headers: Mapping[str, Any]) -> dict[str, str | int]:
    """The headers that JSON can hold, without the broker's `x-death`."""
    found: dict[str, str | int] = {}
    for name, value in headers.items():
        if isinstance(value, bytes):
            found[name] = value.decode(errors="replace").replace("\x00", "")
        elif isinstance(value, str):
            found[name] = value.replace("\x00", "")
        elif isinstance(value, int):
            found[name] = value
    return {name: value for name, value in found.items() if not name.startswith("x-death")}


def _deaths(headers: Mapping[str, Any]) -> object:
    return [death.get("time") for death in headers.get("x-death") or () if isinstance(death, dict)]


def _reason_of_broker(headers: Mapping[str, Any]) -> str:
    """The broker's reason for dead-lettering, such as `delivery_limit` after repeated crashes."""
    reason = headers.get("x-first-death-reason") or headers.get("x-last-death-reason")
    if isinstance(reason, bytes):
        reason = reason.decode(errors="replace")
    return f"broker: {reason}" if reason else "unknown"


def _parse_time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
