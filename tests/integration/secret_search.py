"""Looks for secrets by their value wherever the suite writes: databases, logs and the broker."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from invariants import SERVICES, InvariantChecker
from suite.instance import Instance

Secrets = Mapping[str, str]
"""Secrets by what they are."""

TABLES = (
    "select table_name from information_schema.tables "
    "where table_schema = 'public' and table_type = 'BASE TABLE' order by table_name"
)
# Bytes are shown in hexadecimal digits, so each value is looked for in that form as well.
COLUMNS = (
    "select distinct e.key, s.name from {table} t "
    "cross join lateral jsonb_each_text(to_jsonb(t)) e "
    "cross join unnest($1::text[], $2::text[]) s(name, value) "
    "where strpos(e.value, s.value) > 0 "
    "or strpos(e.value, encode(convert_to(s.value, 'UTF8'), 'hex')) > 0"
)


async def in_databases(books: InvariantChecker, secrets: Secrets) -> set[str]:
    """Every column of every table of every service that holds a secret."""
    found = set()
    for service in SERVICES:
        for (table,) in await books.rows(service, TABLES):
            query = COLUMNS.format(table=f'"{table}"')
            rows = await books.rows(service, query, list(secrets), list(secrets.values()))
            found |= {f"{service}.{table}.{column} holds {name}" for column, name in rows}
    return found


def in_logs(logs: Path, secrets: Secrets) -> set[str]:
    """Every log file that holds a secret."""
    found = set()
    for file in logs.rglob("*"):
        if file.is_file():
            text = file.read_text(errors="replace")
            found |= {
                f"{file.name} holds {name}" for name, value in secrets.items() if value in text
            }
    return found


def in_bodies(what: str, bodies: list[bytes], secrets: Secrets) -> set[str]:
    """Which secrets messages of a kind hold."""
    return {
        f"{what} hold {name}"
        for name, value in secrets.items()
        if any(value.encode() in body for body in bodies)
    }


async def in_dead_letter_queues(instance: Instance, secrets: Secrets) -> set[str]:
    """Which secrets messages in the dead-letter queues hold; the messages stay there."""
    found = set()
    connection = await aio_pika.connect(instance.broker_url())
    async with connection:
        for service in SERVICES:
            channel = await connection.channel()
            queue = await channel.get_queue(f"svc.{service}.dead", ensure=False)
            bodies = []
            while (message := await queue.get(fail=False)) is not None:
                bodies.append(message.body)
            # What is not acknowledged goes back to its queue.
            await channel.close()
            found |= in_bodies(f"dead letters of {service}", bodies, secrets)
    return found


@dataclass
class QueueProxy:
    """Copies of all messages of an exchange since the tap was opened."""

    bodies: list[bytes] = field(default_factory=list)

    async def note(self, message: AbstractIncomingMessage) -> None:
        """Remember one message."""
        self.bodies.append(message.body)


@asynccontextmanager
async def tapping(instance: Instance, exchange: str) -> AsyncIterator[QueueProxy]:
    """Receive a copy of every message of an exchange while the block lasts."""
    tap = QueueProxy()
    connection = await aio_pika.connect(instance.broker_url())
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("", exclusive=True, auto_delete=True)
        await queue.bind(exchange, "#")
        await queue.consume(tap.note, no_ack=True)
        yield tap
