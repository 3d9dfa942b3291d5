"""The sweep of deadlines: what has waited too long acts by itself."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox, tracing
from chassis.context import Context, use_context
from chassis.db import Database
from chassis.ids import utcnow
from chassis.sweep import Batch
from orders.domain.checkout import Checkout
from orders.handlers import bus
from orders.saga.process import apply
from orders.saga.triggers import DeadlinePassed
from orders.store import checkouts, saving

MOST = 100
BATCH: Final = Batch[UUID]("deadlines")


def _time_for(order: Checkout) -> Context:
    """The context in which time speaks to an order: the trace of its checkout goes on."""
    placed, attributes = order.facts.get("traceparent"), {"cartwright.order": str(order.order_id)}
    return Context(traceparent=tracing.root_span("deadline passed", placed, attributes))


async def sweep_deadlines(database: Database) -> int:
    """Let the sagas whose deadline passed hear so; returns how many.

    A saga that raises is left as it was: the others go on, and it is tried again later.
    """
    due = await checkouts.list_due(database, utcnow(), BATCH.postponed(), MOST)
    return await BATCH.run(due, lambda ids: database.retry(lambda tx: _pass(tx, ids)))


async def _pass(tx: AsyncSession, ids: Sequence[UUID]) -> int:
    now = utcnow()
    due = await checkouts.lock_due(tx, ids, now)
    heard = [apply(order, DeadlinePassed(), now, bus.settings.deadlines) for order in due]
    for order, each in zip(due, heard, strict=True):
        if each.outcome == "ignored":
            order.deadline_at = None
        with use_context(_time_for(order)):
            outbox.add(tx, *each.sent)
    entries = [(order, each, None) for order, each in zip(due, heard, strict=True)]
    await saving.save_checkouts(tx, due, now, entries)
    return len(due)
