"""Giving back what orders hold: when they say so, or an operator found a hold without an order."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from inventory.domain.reservation import Hold
from inventory.domain.shelves import Stock
from inventory.store import stock


async def give_back(tx: AsyncSession, holds: Iterable[Hold]) -> Stock:
    """Put what is still in the warehouse back on sale; the locked holds and stock are not saved."""
    live = [hold for hold in holds if hold.is_live]
    locked = await stock.lock_stock(
        tx, {line.variant_id for hold in live for line in hold.lines if line.remaining}
    )
    for hold in live:
        for line in hold.lines:
            if line.remaining:
                shelf = locked.shelf(line.variant_id, line.warehouse_id)
                locked.give_back(shelf, line.remaining, hold.order_id)
        hold.state = "released"
    return locked
