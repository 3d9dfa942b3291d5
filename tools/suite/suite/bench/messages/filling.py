"""The databases of speaker and listener: their tables, and an outbox full of events."""

import os

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis import outbox
from chassis.db import Database
from chassis.ids import new_id
from chassis.migrations import RELAY_FUNCTIONS, create_message_tables
from suite.bench.messages import consumer, producer

URL, COUNT, AGGREGATES = "DATABASE_URL", "FILL_COUNT", "FILL_AGGREGATES"
ROWS_AT_ONCE = 500
AGGREGATE = text("insert into aggregates select gen_random_uuid(), 0 from generate_series(1, :n)")


async def make_tables() -> None:
    """Make the chassis's tables as a first migration does, and those of both services."""
    engine = create_async_engine(os.environ[URL])
    own = (producer.TABLES + consumer.TABLES).split(";\n")
    relay = (each.replace(":", "\\:") for each in RELAY_FUNCTIONS.split("\n\n"))
    async with engine.begin() as connection:
        await connection.run_sync(_make_message_tables)
        for statement in (*relay, *filter(str.strip, own)):
            await connection.execute(text(statement))
        await connection.execute(AGGREGATE, {"n": int(os.environ[AGGREGATES])})
    await engine.dispose()


def _make_message_tables(connection: Connection) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        create_message_tables()


async def fill() -> None:
    """Commit events to the outbox, each of an aggregate of its own."""
    database, left = Database(os.environ[URL]), int(os.environ[COUNT])
    while left > 0:
        async with database.transaction() as tx:
            events = [producer.event(new_id(), 1) for _ in range(min(left, ROWS_AT_ONCE))]
            outbox.add(tx, *events)
        left -= len(events)
    await database.close()
