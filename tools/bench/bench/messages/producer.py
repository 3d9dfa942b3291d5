"""A service that publishes events, at a rate or unlimited, each in a transaction of its own."""

import asyncio
import random
import time
from uuid import UUID

from pydantic import Field
from sqlalchemy import MetaData, text

from chassis import driver, outbox
from chassis.bus import Bus
from chassis.db import Database
from chassis.driver import Sql
from chassis.service import Running, Service
from chassis.settings import ServiceSettings
from contracts.examples import build
from contracts.orders import OrderPlaced

CONCURRENCY = 8
TABLES = """
create table aggregates (id uuid primary key, sequence bigint not null);
create table published (order_id uuid, sequence bigint, at double precision);
"""
# The row's lock is held until the commit, so an aggregate's events commit in their order.
NEXT = Sql("update aggregates set sequence = sequence + 1 where id = :id returning sequence")
ALL = text("select id from aggregates order by id")
RECORD = Sql(
    "insert into published select * from unnest(cast(:orders as uuid[]), "
    "cast(:sequences as bigint[]), cast(:moments as double precision[]))"
)

# The aggregate, the sequence, and the time of the commit.
Published = tuple[UUID, int, float]


class BenchEvent(OrderPlaced):
    """An event as long as the longest of a checkout."""


class ProducerSettings(ServiceSettings):
    """The events that the producer publishes once it runs."""

    publish_count: int = Field(0, ge=0, description="number of events", examples=["500"])
    publish_rate: float = Field(
        0, ge=0, description="events per second; 0 is unlimited", examples=["50"]
    )


EXAMPLE = build(BenchEvent)
bus: Bus[ProducerSettings] = Bus("producer")


def event(order_id: UUID, sequence: int) -> BenchEvent:
    """An event of an aggregate with its sequence number."""
    made: BenchEvent = EXAMPLE.model_copy(update={"order_id": order_id})
    return made.with_sequence(sequence)


async def publish(running: Running[ProducerSettings]) -> None:
    """Publish the events of the settings, record each time of commit, then idle until stopped."""
    settings, database = running.settings, running.database
    if settings.publish_count:
        async with database.transaction() as tx:
            aggregates = list((await tx.execute(ALL)).scalars())
        chance = random.Random(settings.port)  # noqa: S311
        chosen = [chance.choice(aggregates) for _ in range(settings.publish_count)]
        published = await _publish_all(database, chosen, settings.publish_rate, chance)
        orders, sequences, moments = zip(*published, strict=True)
        async with database.transaction() as tx:
            values = {"orders": orders, "sequences": sequences, "moments": moments}
            await driver.execute(tx, RECORD, values)
    await asyncio.Event().wait()


async def _publish_all(
    database: Database, chosen: list[UUID], rate: float, chance: random.Random
) -> list[Published]:
    """Publish as independent Poisson arrivals; without a rate, in CONCURRENCY loops."""
    published: list[Published] = []

    async def publish_one(aggregate: UUID) -> None:
        published.append(await _publish(database, aggregate))

    if not rate:
        queue = iter(chosen)

        async def loop() -> None:
            for aggregate in queue:
                await publish_one(aggregate)

        await asyncio.gather(*(loop() for _ in range(CONCURRENCY)))
        return published
    due = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for aggregate in chosen:
            due += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.create_task(publish_one(aggregate))
    return published


async def _publish(database: Database, aggregate: UUID) -> Published:
    """Publish one event; the time is that of the machine's monotonic clock after the commit."""
    async with database.transaction() as tx:
        sequence = await driver.fetchval(tx, NEXT, {"id": aggregate})
        outbox.add(tx, event(aggregate, sequence))
    return aggregate, sequence, time.monotonic()


service = Service("producer", ProducerSettings, MetaData(), [], bus, background=[publish])
