"""Composition of orders."""

from contextlib import AsyncExitStack

from chassis.db import Database
from chassis.service import Running, Service
from chassis.sweep import Sweep
from orders.api import admin, checkout, internal, orders, progress, sagas
from orders.api.progress import Streams
from orders.domain.order import metadata
from orders.handlers import bus
from orders.jobs import BATCH, sweep_deadlines
from orders.service import OrderNumbers, OrderWatch
from orders.settings import OrdersSettings
from orders.store.sagas import GAUGES


async def start(running: Running[OrdersSettings], stack: AsyncExitStack) -> None:
    """Make what requests share: order numbers, the watch that wakes them, and the streams."""
    resources = running.resources
    resources.numbers = OrderNumbers(running.database, running.settings.number_block)
    resources.watch = OrderWatch()
    running.database.listeners.append(resources.watch.on_committed)
    resources.streams = Streams(running.database, running.settings.streams)
    resources.watch.on_wake = resources.streams.wake


async def watch(running: Running[OrdersSettings]) -> None:
    await running.resources.watch.run(running.broker)


async def sweep(database: Database) -> int:
    return await sweep_deadlines(database, bus.settings.deadlines)


service = Service(
    name="orders",
    settings=OrdersSettings,
    metadata=metadata,
    routers=[
        checkout.router,
        progress.router,
        orders.router,
        admin.router,
        sagas.router,
        admin.reconciliation,
        internal.router,
    ],
    bus=bus,
    sweeps=[Sweep(BATCH.name, sweep)],
    on_start=start,
    background=[watch],
    gauges=GAUGES,
)
