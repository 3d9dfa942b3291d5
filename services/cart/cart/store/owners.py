"""Queries on whose carts are whose: they go with a customer to another, or are deleted."""

from contextlib import suppress
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.basket import CartBusy
from cart.store import locks
from chassis.constraints import violations_as

# Guests' carts that were merged into one of the customer's go as well. An order whose cart is
# gone needs it no more: it copied the cart when it locked it.
DELETE = text(
    "delete from carts where customer_id = :customer "
    "or merged_into in (select id from carts where customer_id = :customer)"
)
TAKE_ACTIVE = text(
    "select id, customer_id from carts where customer_id in (:before, :after) "
    "and status = 'active' order by id for update"
)
MOVE = text(
    "update carts set customer_id = :after, version = version + 1, updated_at = now() "
    "where customer_id = :before"
)


async def delete_carts(tx: AsyncSession, customer_id: UUID) -> None:
    """Delete every cart of a customer, whatever its status."""
    await tx.execute(DELETE, {"customer": customer_id})


async def move_carts(tx: AsyncSession, before: UUID, after: UUID) -> None:
    """Let the carts of one customer belong to another; of two open ones the older is merged."""
    both = {"before": before, "after": after}
    for _ in range(locks.TRIES):
        # Where the other customer began a cart between our look and our change, look again.
        with suppress(CartBusy), violations_as(uq_carts_active_customer_id=CartBusy):
            async with tx.begin_nested():
                active = {row.customer_id: row.id for row in await tx.execute(TAKE_ACTIVE, both)}
                if len(active) > 1:
                    await locks.merge(tx, active[before], active[after])
                await tx.execute(MOVE, both)
            return
    raise CartBusy
