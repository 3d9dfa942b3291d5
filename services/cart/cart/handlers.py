"""What happens in the cart service when a message arrives."""

from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from cart.settings import CartSettings
from cart.store import locks, owners, products
from chassis.bus import Bus
from contracts.catalog import (
    ProductChanged,
    ProductSnapshot,
    ProductSnapshotsCompleted,
    ProductState,
)
from contracts.identity import CustomerChanged
from contracts.inventory import StockChanged, StockSnapshot, StockSnapshotsCompleted, StockState
from contracts.orders import OrderCancelled, OrderConfirmed

log = structlog.get_logger()

bus: Bus[CartSettings] = Bus("cart")


@bus.handles_many(StockSnapshot)
@bus.handles_many(StockChanged, low_priority=True)
async def keep_stock(events: Sequence[StockState], tx: AsyncSession) -> None:
    """Know how many pieces can be promised."""
    await products.keep_stock(tx, events)


@bus.handles_many(ProductSnapshot)
@bus.handles_many(ProductChanged, low_priority=True)
async def keep_products(events: Sequence[ProductState], tx: AsyncSession) -> None:
    """Know what is sold, and for how much."""
    await products.keep_products(tx, events)


@bus.handles(ProductSnapshotsCompleted, StockSnapshotsCompleted)
async def log_bootstrap_completed(
    told: ProductSnapshotsCompleted | StockSnapshotsCompleted, tx: AsyncSession
) -> None:
    """The copy that was empty holds all there was."""
    log.info("copy filled", source=told.source(), told=told.sent)


@bus.handles_many(OrderConfirmed, low_priority=True)
async def convert_carts(events: Sequence[OrderConfirmed], tx: AsyncSession) -> None:
    """Close for good what was bought."""
    await locks.convert(tx, {event.cart_id: event.order_id for event in events})


@bus.handles_many(OrderCancelled)
async def reopen_carts(events: Sequence[OrderCancelled], tx: AsyncSession) -> None:
    """Give the customer back a cart whose order came to nothing; what was bought stays closed."""
    sold = {event.cart_id: event.order_id for event in events if event.confirmed_at is not None}
    await locks.convert(tx, sold)
    await locks.unlock(
        tx, {event.cart_id: event.order_id for event in events if event.cart_id not in sold}
    )


@bus.handles(CustomerChanged)
async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """Move the carts of a customer who is another now, or delete those a stranger may have left."""
    if event.reclaimed_by is not None:
        await owners.delete_carts(tx, event.customer_id)
    elif event.merged_into is not None:
        await owners.move_carts(tx, event.customer_id, event.merged_into)
