"""A service that says things: at a rate or as fast as it goes, each in a transaction of its own."""

import asyncio
import random
import time
from uuid import UUID

from pydantic import Field
from sqlalchemy import MetaData, text

from chassis import outbox
from chassis.bus import Bus
from chassis.db import Database
from chassis.service import Running, Service
from chassis.settings import ServiceSettings
from contracts.examples import build
from contracts.orders import OrderPlaced

AT_ONCE = 8
TABLES = """
create table aggregates (id uuid primary key, sequence bigint not null);
create table said (order_id uuid, sequence bigint, at double precision);
"""
# The row's lock is held until the commit, so an aggregate's events commit in their order.
NEXT = text("update aggregates set sequence = sequence + 1 where id = :id returning sequence")
ALL = text("select id from aggregates order by id")
NOTE = text(
    "insert into said select * from unnest(cast(:orders as uuid[]), cast(:sequences as bigint[]), "
    "cast(:moments as double precision[]))"
)

Note = tuple[UUID, int, float]


class Said(OrderPlaced):
    """An event as long as the longest of a checkout."""


class SpeakerSettings(ServiceSettings):
    """What the speaker is to say once it runs."""

    say_count: int = Field(0, ge=0, description="how many events to say", examples=["500"])
    say_rate: float = Field(
        0, ge=0, description="how many a second; 0 is as fast as it goes", examples=["50"]
    )


EXAMPLE = build(Said)
bus: Bus[SpeakerSettings] = Bus("producer")


def event(order_id: UUID, sequence: int) -> Said:
    """An event with its place in the life of its aggregate."""
    said: Said = EXAMPLE.model_copy(update={"order_id": order_id})
    return said.with_sequence(sequence)


async def say(running: Running[SpeakerSettings]) -> None:
    """Say everything there is to say, note when each was committed, and rest for ever."""
    settings, database = running.settings, running.database
    if settings.say_count:
        async with database.transaction() as tx:
            aggregates = list((await tx.execute(ALL)).scalars())
        chance = random.Random(settings.port)  # noqa: S311
        chosen = [chance.choice(aggregates) for _ in range(settings.say_count)]
        notes = await _say_all(database, chosen, settings.say_rate, chance)
        orders, sequences, moments = zip(*notes, strict=True)
        async with database.transaction() as tx:
            values = {"orders": orders, "sequences": sequences, "moments": moments}
            await tx.execute(NOTE, values)
    await asyncio.Event().wait()


async def _say_all(
    database: Database, chosen: list[UUID], rate: float, chance: random.Random
) -> list[Note]:
    """Poisson arrivals at the rate, none waiting for another; or so many at once without one."""
    notes: list[Note] = []

    async def say_one(aggregate: UUID) -> None:
        notes.append(await _say(database, aggregate))

    if not rate:
        queue = iter(chosen)

        async def go_on() -> None:
            for aggregate in queue:
                await say_one(aggregate)

        await asyncio.gather(*(go_on() for _ in range(AT_ONCE)))
        return notes
    due = time.monotonic()
    async with asyncio.TaskGroup() as saying:
        for aggregate in chosen:
            due += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            saying.create_task(say_one(aggregate))
    return notes


async def _say(database: Database, aggregate: UUID) -> Note:
    """Say one event; the moment is that of the machine's monotonic clock after the commit."""
    async with database.transaction() as tx:
        sequence = (await tx.execute(NEXT, {"id": aggregate})).scalar_one()
        outbox.add(tx, event(aggregate, sequence))
    return aggregate, sequence, time.monotonic()


service = Service("producer", SpeakerSettings, MetaData(), [], bus, background=[say])
