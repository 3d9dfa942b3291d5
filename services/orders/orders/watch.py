"""Waiting for an order: requests are woken by its events, on a queue of this process's own."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from aiormq.abc import DeliveredMessage

from chassis.broker import BrokerLost, translate_errors
from chassis.ids import new_id
from chassis.service import Running
from contracts.message import Message
from contracts.orders import (
    CustomerActionRequired,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderPaymentChanged,
    OrderShipped,
)
from orders.settings import OrdersSettings

log = structlog.get_logger()

WATCHED = (
    OrderConfirmed,
    OrderCancelled,
    CustomerActionRequired,
    OrderShipped,
    OrderDelivered,
    OrderPaymentChanged,
)
FALLBACK = 1.0


class Watch:
    """Wakes whoever waits for an order; a lost wake-up costs one interval, never the answer."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        # Called with each order that moved, waited for or not.
        self.on_wake: Callable[[UUID], None] = lambda _order_id: None

    @asynccontextmanager
    async def on(self, order_id: UUID) -> AsyncIterator[asyncio.Event]:
        """An event set whenever the order moved; begin watching before reading the order."""
        woken = asyncio.Event()
        self._waiting[order_id].add(woken)
        try:
            yield woken
        finally:
            self._waiting[order_id].discard(woken)
            if not self._waiting[order_id]:
                del self._waiting[order_id]

    def wake(self, order_id: UUID) -> None:
        """Wake everybody who waits for this order."""
        for woken in self._waiting.get(order_id, ()):
            woken.set()
        self.on_wake(order_id)

    def said(self, message: Message) -> None:
        """Wake at once for what this process itself has just committed."""
        if isinstance(message, WATCHED):
            self.wake(message.order_id)

    async def run(self, running: Running[OrdersSettings]) -> None:
        """Listen to the orders' own events, on an exclusive queue that dies with the connection.

        Raises BrokerLost when the connection is lost; whoever runs it begins again.
        """
        async with running.broker.channel() as channel:
            lost = asyncio.Event()
            channel.closing.add_done_callback(lambda _: lost.set())
            with translate_errors():
                queue = f"svc.orders.api.{new_id()}"
                await channel.queue_declare(queue, exclusive=True, auto_delete=True)
                for event in WATCHED:
                    await channel.queue_bind(queue, "events", event.routing_key())
                await channel.basic_consume(queue, self._heard, no_ack=True)
            await lost.wait()
        raise BrokerLost("the connection was lost")

    async def _heard(self, message: DeliveredMessage) -> None:
        subject = (message.header.properties.headers or {}).get("cloudEvents:subject")
        try:
            self.wake(UUID(str(subject)))
        except ValueError:
            log.warning("an order event without an order", subject=str(subject)[:50])


async def pause(woken: asyncio.Event, seconds: float) -> None:
    """Wait to be woken, at most so long or a fallback interval."""
    try:
        async with asyncio.timeout(min(seconds, FALLBACK)):
            await woken.wait()
    except TimeoutError:
        return
    woken.clear()
