"""What several edges start: advancing sagas, cancelling, numbering orders and waiting for them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import structlog
from aiormq.abc import DeliveredMessage
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.broker import Broker, BrokerLost, translate_errors
from chassis.db import Database
from chassis.ids import new_id, utcnow
from contracts.envelope import Envelope
from contracts.message import Message
from contracts.orders import (
    CustomerActionRequired,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderPaymentChanged,
    OrderShipped,
)
from orders.domain.checkout import CancelRequested, Checkout, Trigger
from orders.domain.order import (
    AlreadyCancelled,
    RefundNotPermitted,
    Stage,
    Status,
    TooLateToCancel,
)
from orders.saga import engine
from orders.saga.engine import Deadlines, Transition
from orders.saga.table import UNDOING
from orders.store import orders as store
from orders.store.orders import LogEntry

log = structlog.get_logger()

COMPENSATING: Final = UNDOING - {Stage.CANCELLED}
"""Stages in which an order is being undone."""

WATCHED: Final = (
    OrderConfirmed,
    OrderCancelled,
    CustomerActionRequired,
    OrderShipped,
    OrderDelivered,
    OrderPaymentChanged,
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What arrived for a locked order: a trigger, or a message with its envelope."""

    order: Checkout
    trigger: Message | Trigger
    envelope: Envelope | None = None


async def advance(
    tx: AsyncSession, order: Checkout, trigger: Trigger, deadlines: Deadlines
) -> None:
    """Apply a trigger to a locked order, save it, and send what its saga sends."""
    (transition,) = await advance_all(tx, [order], [Arrival(order, trigger)], utcnow(), deadlines)
    outbox.add(tx, *transition.sent)


async def advance_all(
    tx: AsyncSession,
    orders: Sequence[Checkout],
    arrivals: Iterable[Arrival],
    now: datetime,
    deadlines: Deadlines,
) -> list[Transition]:
    """Apply what arrived to locked orders, and save all of them in one statement.

    Takes one arrival after the other, and returns a transition for each. The caller sends its
    messages, in the context of what caused them: a handler does so by returning them.
    """
    entries = [
        LogEntry(
            arrival.order,
            engine.apply(arrival.order, arrival.trigger, now, deadlines),
            arrival.envelope,
        )
        for arrival in arrivals
    ]
    await store.save_checkouts(tx, orders, now, entries)
    return [entry.transition for entry in entries]


async def cancel_order(
    tx: AsyncSession,
    order_id: UUID,
    reason: Literal["customer_request", "staff_request"],
    deadlines: Deadlines,
    *,
    may_refund: bool,
) -> Checkout:
    """Request the cancellation of an order; `may_refund`: the caller may return money.

    The permission covers money that the order is known to have. Money that a charge in flight
    captures afterwards goes back by the saga's rule, for every caller.

    Raises OrderNotFound, AlreadyCancelled, TooLateToCancel or RefundNotPermitted.
    """
    order = await store.lock_checkout(tx, order_id)
    if order.status is Status.CANCELLED:
        raise AlreadyCancelled
    if not order.not_shipped() and order.stage not in COMPENSATING:
        raise TooLateToCancel
    if order.has_captured_funds() and not may_refund:
        raise RefundNotPermitted
    await advance(tx, order, CancelRequested(reason), deadlines)
    return order


class OrderNumbers:
    """Issues `2026-000123` by the UTC year of placing; gaps are allowed, duplicates are not.

    Numbers are leased in blocks, so that placing orders does not serialise on one row.
    """

    def __init__(self, database: Database, block: int) -> None:
        self._database = database
        self._block = block
        self._year = 0
        self._next = 0
        self._end = 0
        self._lock = asyncio.Lock()

    async def take(self, now: datetime) -> str:
        """The next number of the year; the rest of last year's block is dropped."""
        async with self._lock:
            if now.year != self._year or self._next >= self._end:
                async with self._database.transaction() as tx:
                    first = await store.lease_numbers(tx, now.year, self._block)
                self._year, self._next, self._end = now.year, first, first + self._block
            number = self._next
            self._next += 1
        return f"{now.year}-{number:06d}"


class OrderWatch:
    """Wakes the requests that wait for an order; a lost wake-up costs one interval of polling."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        # Called with each order that changed, whether or not a request waits for it.
        self.on_wake: Callable[[UUID], None] = lambda _order_id: None

    @asynccontextmanager
    async def on(self, order_id: UUID) -> AsyncIterator[asyncio.Event]:
        """An event set whenever the order changed; begin watching before reading the order."""
        woken = asyncio.Event()
        self._waiting[order_id].add(woken)
        try:
            yield woken
        finally:
            self._waiting[order_id].discard(woken)
            if not self._waiting[order_id]:
                del self._waiting[order_id]

    def wake(self, order_id: UUID) -> None:
        """Wake all requests that wait for this order."""
        for woken in self._waiting.get(order_id, ()):
            woken.set()
        self.on_wake(order_id)

    def on_committed(self, message: Message) -> None:
        """Wake at once for what this process itself has just committed."""
        if isinstance(message, WATCHED):
            self.wake(message.order_id)

    async def run(self, broker: Broker) -> None:
        """Consume the events of orders, from an exclusive queue deleted with the connection.

        Raises BrokerLost when the connection is lost.
        """
        async with broker.channel() as channel:
            lost = asyncio.Event()
            channel.closing.add_done_callback(lambda _: lost.set())
            with translate_errors():
                queue = f"svc.orders.api.{new_id()}"
                await channel.queue_declare(queue, exclusive=True, auto_delete=True)
                for event in WATCHED:
                    await channel.queue_bind(queue, "events", event.routing_key())
                await channel.basic_consume(queue, self._receive, no_ack=True)
            await lost.wait()
        raise BrokerLost("the connection was lost")

    async def _receive(self, message: DeliveredMessage) -> None:
        subject = (message.header.properties.headers or {}).get("cloudEvents:subject")
        try:
            self.wake(UUID(str(subject)))
        except ValueError:
            log.warning("order event without an order", subject=str(subject)[:50])
