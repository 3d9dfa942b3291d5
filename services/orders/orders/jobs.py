"""The sweep of deadlines: a saga that waited too long in a stage acts by itself."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox, tracing
from chassis.context import Context, use_context
from chassis.db import Database
from chassis.ids import utcnow
from chassis.sweep import Batch
from orders.domain.checkout import Checkout, DeadlinePassed
from orders.saga.engine import Deadlines
from orders.service import Arrival, advance_all
from orders.store import orders as store

MOST: Final = 100
BATCH: Final = Batch[UUID]("deadlines")


async def sweep_deadlines(database: Database, deadlines: Deadlines) -> int:
    """Apply the deadlines that passed; returns how many sagas that were.

    A saga that raises stays as it was: the others proceed, and it is retried later.
    """
    due = await store.list_due(database, utcnow(), BATCH.postponed(), MOST)
    return await BATCH.run(
        due, lambda ids: database.retry(lambda tx: _pass_deadlines(tx, ids, deadlines))
    )


async def _pass_deadlines(tx: AsyncSession, ids: Sequence[UUID], deadlines: Deadlines) -> int:
    now = utcnow()
    due = await store.lock_due(tx, ids, now)
    arrivals = [Arrival(order, DeadlinePassed()) for order in due]
    transitions = await advance_all(tx, due, arrivals, now, deadlines)
    for order, transition in zip(due, transitions, strict=True):
        with use_context(_context_of(order)):
            outbox.add(tx, *transition.sent)
    return len(due)


def _context_of(order: Checkout) -> Context:
    """What a deadline sends belongs to the trace of the checkout."""
    attributes = {"cartwright.order": str(order.order_id)}
    placed = order.facts.traceparent or None
    return Context(span=tracing.root_span("deadline passed", placed, attributes))
