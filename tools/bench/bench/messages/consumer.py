"""A service that handles the producer's events, with one statement for each batch."""

import time

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession

from bench.messages.producer import BenchEvent
from chassis import driver
from chassis.bus import Bus
from chassis.driver import Sql
from chassis.service import Service
from chassis.settings import ServiceSettings

TABLES = """
create table consumed (
  place bigint generated always as identity primary key,
  order_id uuid not null, sequence bigint not null, at double precision not null
);
"""
RECORD = Sql(
    "insert into consumed (order_id, sequence, at) "
    "select order_id, sequence, cast(:moment as double precision) "
    "from unnest(cast(:orders as uuid[]), cast(:sequences as bigint[])) "
    "with ordinality as new(order_id, sequence, place) order by place"
)

bus: Bus[ServiceSettings] = Bus("consumer")


@bus.handles_many(BenchEvent)
async def record(events: list[BenchEvent], tx: AsyncSession) -> None:
    """Record the events in the order of handling, with the time of the handler's call."""
    moment = time.monotonic()
    orders = [event.order_id for event in events]
    sequences = [event.sequence for event in events]
    await driver.execute(tx, RECORD, {"orders": orders, "sequences": sequences, "moment": moment})


service = Service("consumer", ServiceSettings, MetaData(), [], bus)
