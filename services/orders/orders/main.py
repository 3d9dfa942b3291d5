"""Composition of orders."""

from contextlib import AsyncExitStack

from chassis.service import Running, Service
from chassis.sweep import Sweep
from orders.api import admin, internal, orders, placing, progress, reconciliation, sagas
from orders.api.streams import Streams
from orders.deadlines import BATCH, sweep_deadlines
from orders.domain.order import Base
from orders.handlers import bus
from orders.numbers import Numbers
from orders.settings import OrdersSettings
from orders.store.gauges import GAUGES
from orders.watch import Watch


async def start(running: Running[OrdersSettings], stack: AsyncExitStack) -> None:
    """What requests need at hand: order numbers, the watch that wakes them, and the streams."""
    running.resources.numbers = Numbers(running.database, running.settings.number_block)
    running.resources.watch = Watch()
    running.database.listeners.append(running.resources.watch.said)
    running.resources.streams = Streams(running.database, running.settings.streams)
    running.resources.watch.on_wake = running.resources.streams.wake


async def watch(running: Running[OrdersSettings]) -> None:
    """Listen for the ends that requests wait for."""
    await running.resources.watch.run(running)


service = Service(
    name="orders",
    settings=OrdersSettings,
    metadata=Base.metadata,
    routers=[
        placing.router,
        progress.router,
        orders.router,
        admin.router,
        sagas.router,
        reconciliation.router,
        internal.router,
    ],
    bus=bus,
    sweeps=[Sweep(BATCH.name, sweep_deadlines)],
    on_start=start,
    background=[watch],
    gauges=GAUGES,
)
