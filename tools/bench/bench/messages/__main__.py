"""The processes of the message path: `python -m bench.messages ROLE`.

The roles `producer` and `consumer` are the services; `tables` and `fill` prepare a database: the
tables of the chassis and both services, and an outbox full of events. The environment names the
database and the broker, as for every service.
"""

import asyncio
import os
import sys

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from bench.messages import consumer, producer
from bench.messages.producer import ProducerSettings
from chassis import outbox, process
from chassis.db import Database
from chassis.ids import new_id
from chassis.migrations import RELAY_FUNCTIONS, create_message_tables
from chassis.settings import ServiceSettings, load

URL, COUNT, AGGREGATES = "DATABASE_URL", "FILL_COUNT", "FILL_AGGREGATES"
ROWS_PER_TRANSACTION = 500
ADD_AGGREGATES = text(
    "insert into aggregates select gen_random_uuid(), 0 from generate_series(1, :n)"
)


async def create_tables() -> None:
    """Create the chassis's tables as a first migration does, and those of both services."""
    engine = create_async_engine(os.environ[URL])
    own = (producer.TABLES + consumer.TABLES).split(";\n")
    relay = (each.replace(":", "\\:") for each in RELAY_FUNCTIONS.split("\n\n"))
    async with engine.begin() as connection:
        await connection.run_sync(_create_message_tables)
        for statement in (*relay, *filter(str.strip, own)):
            await connection.execute(text(statement))
        await connection.execute(ADD_AGGREGATES, {"n": int(os.environ[AGGREGATES])})
    await engine.dispose()


def _create_message_tables(connection: Connection) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        create_message_tables()


async def fill_outbox() -> None:
    """Commit events to the outbox, each of an aggregate of its own."""
    database, left = Database(os.environ[URL]), int(os.environ[COUNT])
    while left > 0:
        async with database.transaction() as tx:
            events = [producer.event(new_id(), 1) for _ in range(min(left, ROWS_PER_TRANSACTION))]
            outbox.add(tx, *events)
        left -= len(events)
    await database.close()


if __name__ == "__main__":
    match sys.argv.pop(1):
        case "tables":
            asyncio.run(create_tables())
        case "fill":
            asyncio.run(fill_outbox())
        case "producer":
            sys.exit(process.run("producer", [(producer.service, load(ProducerSettings))], "api"))
        case "consumer":
            sys.exit(process.run("consumer", [(consumer.service, load(ServiceSettings))], "worker"))
        case unknown:
            sys.exit(f"there is no process {unknown}")
