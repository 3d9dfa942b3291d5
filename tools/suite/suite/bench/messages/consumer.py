"""A service that hears what the speaker says, and does one statement about it."""

import time

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Bus
from chassis.service import Service
from chassis.settings import ServiceSettings
from suite.bench.messages.producer import Said

TABLES = """
create table heard (
  place bigint generated always as identity primary key,
  order_id uuid not null, sequence bigint not null, at double precision not null
);
"""
NOTE = text(
    "insert into heard (order_id, sequence, at) "
    "select order_id, sequence, cast(:moment as double precision) "
    "from unnest(cast(:orders as uuid[]), cast(:sequences as bigint[])) "
    "with ordinality as new(order_id, sequence, place) order by place"
)

bus: Bus[ServiceSettings] = Bus("consumer")


@bus.handles_many(Said)
async def note(events: list[Said], tx: AsyncSession) -> None:
    """Remember what was heard, in which order, and when the handler was called."""
    moment = time.monotonic()
    orders = [event.order_id for event in events]
    sequences = [event.sequence for event in events]
    await tx.execute(NOTE, {"orders": orders, "sequences": sequences, "moment": moment})


service = Service("consumer", ServiceSettings, MetaData(), [], bus)
