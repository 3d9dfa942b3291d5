"""Five kinds of messages that no handler can take, and messages an hour older than they are."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from chassis.ids import new_id
from contracts import registry
from contracts.inventory import StockReserved
from queue_proxy import copy_of
from suite.instance import Instance

KINDS = ("bad JSON", "wrong schema", "unknown version", "five megabytes", "handler raises")
TIERS = 4
HOUR = timedelta(hours=1)


def attempts_of(kind: str) -> int:
    """After how many attempts it is dead: what can never be read is not tried again."""
    return TIERS + 1 if kind == "handler raises" else 1


def poison(kind: str) -> aio_pika.Message:
    """A message to orders that looks as if inventory had sent it."""
    registry.all_messages()
    event = StockReserved(order_id=new_id(), allocations=[])
    type_name, body = event.type_name(), event.encode()
    match kind:
        case "bad JSON":
            body = body[:-1]
        case "wrong schema":
            body = json.dumps({"order_id": 7}).encode()
        case "unknown version":
            type_name = type_name.replace(".v1", ".v9")
        case "five megabytes":
            body = b'{"order_id": "' + b"x" * 5_000_000 + b'"}'
        case "handler raises":
            # Well formed, about an order that is nowhere: the handler must not believe it.
            pass
    headers: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(new_id()),
        "source": event.source(),
        "type": type_name,
        "subject": event.subject(),
        "sequence": 1,
        "time": datetime.now(UTC).isoformat(),
        "correlationid": event.subject(),
        "actor": "service:inventory",
        "traceparent": f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01",
    }
    return aio_pika.Message(
        body,
        headers={f"cloudEvents:{name}": value for name, value in headers.items()},
        message_id=headers["id"],
        user_id="inventory",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


def aged(message: AbstractIncomingMessage, age: timedelta = HOUR) -> aio_pika.Message:
    """The same message as if it had been sent that much earlier, by its id, time and expiry."""
    headers: dict[str, Any] = dict(message.headers)
    sent = datetime.fromisoformat(str(headers["cloudEvents:time"]))
    milliseconds = int((time.time() - age.total_seconds()) * 1000)
    tail = uuid.UUID(str(headers["cloudEvents:id"])).int & ((1 << 80) - 1)
    older = str(uuid.UUID(int=(milliseconds << 80) | tail))
    body = json.loads(message.body)
    if body.get("expires_at"):
        body["expires_at"] = (datetime.fromisoformat(body["expires_at"]) - age).isoformat()
    made = copy_of(
        message,
        body=json.dumps(body).encode(),
        headers={"cloudEvents:id": older, "cloudEvents:time": (sent - age).isoformat()},
    )
    made.message_id = older
    return made


async def send(instance: Instance, service: str, messages: list[aio_pika.Message]) -> None:
    """Put messages into a service's work queue, under the names they bear."""
    async with await aio_pika.connect(instance.broker_url()) as connection:
        channel = await connection.channel(on_return_raises=True)
        for message in messages:
            await channel.default_exchange.publish(message, routing_key=f"svc.{service}")


async def dead_letters(instance: Instance, service: str) -> list[AbstractIncomingMessage]:
    """Take a service's dead letters away."""
    async with await aio_pika.connect(instance.broker_url()) as connection:
        queue = await (await connection.channel()).get_queue(f"svc.{service}.dead")
        found = []
        while (letter := await queue.get(no_ack=True, fail=False)) is not None:
            found.append(letter)
        return found
