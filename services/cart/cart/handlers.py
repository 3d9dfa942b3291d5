"""Handlers of the cart service: products, stock, the end of orders, and customers."""

from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from cart.settings import CartSettings
from cart.store import lifecycle, products
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
async def store_stock(events: Sequence[StockState], tx: AsyncSession) -> None:
    """Update the copy of how many pieces can be promised."""
    await products.upsert_stock(tx, events)


@bus.handles_many(ProductSnapshot)
@bus.handles_many(ProductChanged, low_priority=True)
async def store_products(events: Sequence[ProductState], tx: AsyncSession) -> None:
    """Update the copy of products with their variants and prices."""
    await products.upsert_products(tx, events)


@bus.handles(ProductSnapshotsCompleted, StockSnapshotsCompleted)
async def log_bootstrap_completed(
    event: ProductSnapshotsCompleted | StockSnapshotsCompleted, tx: AsyncSession
) -> None:
    """Log that an empty copy has received every snapshot."""
    log.info("bootstrap completed", source=event.source(), received=event.sent)


@bus.handles_many(OrderConfirmed, low_priority=True)
async def convert_carts(events: Sequence[OrderConfirmed], tx: AsyncSession) -> None:
    """Convert the carts of confirmed orders: they are bought and never open again."""
    await lifecycle.convert(tx, {event.cart_id: event.order_id for event in events})


@bus.handles_many(OrderCancelled)
async def unlock_carts(events: Sequence[OrderCancelled], tx: AsyncSession) -> None:
    """Unlock the carts of cancelled orders; those of orders once confirmed stay converted."""
    sold = {event.cart_id: event.order_id for event in events if event.confirmed_at is not None}
    await lifecycle.convert(tx, sold)
    await lifecycle.unlock(
        tx, {event.cart_id: event.order_id for event in events if event.cart_id not in sold}
    )


@bus.handles(CustomerChanged)
async def follow_customer(event: CustomerChanged, tx: AsyncSession) -> None:
    """Move the carts of a customer merged into another; delete those of a reclaimed account.

    A stranger may have left the carts of an account that its e-mail's owner reclaims.
    """
    if event.reclaimed_by is not None:
        await lifecycle.delete_carts(tx, event.customer_id)
    elif event.merged_into is not None:
        await lifecycle.move_carts(tx, event.customer_id, event.merged_into)
