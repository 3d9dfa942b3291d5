"""Work that time brings: locks whose order may be gone, and carts that were given up."""

from typing import Any, Final
from uuid import UUID

import structlog

from cart.handlers import bus
from cart.store import locks, products
from chassis.bootstrap import request_snapshots_while_empty
from chassis.db import Database
from chassis.errors import Problem
from chassis.ids import new_id
from chassis.sweep import Batch, Sweep
from contracts.catalog import RequestProductSnapshots
from contracts.inventory import RequestStockSnapshots

log = structlog.get_logger()

NOT_FOUND = 404
LOCKS: Final = Batch[UUID]("old locks")


async def check_locks(database: Database) -> int:
    """Ask orders about old locks and give back those without a live order; returns how many."""
    async with database.transaction() as tx:
        stale = await locks.take_stale_locks(tx, bus.settings.lock_check_after)
    done = 0
    for cart_id, order_id in stale:
        with LOCKS.isolate(cart_id):
            await _check(database, cart_id, order_id)
            done += 1
    return done


async def _check(database: Database, cart_id: UUID, order_id: UUID) -> None:
    status = await _status_of(order_id)
    async with database.transaction() as tx:
        if status in (None, "cancelled"):
            log.info("lock given back", cart_id=str(cart_id), order_id=str(order_id))
            await locks.unlock(tx, {cart_id: order_id})
        elif status != "pending":
            await locks.convert(tx, {cart_id: order_id})


async def _status_of(order_id: UUID) -> str | None:
    """Ask orders for the status of an order; None when there is no such order.

    One that was cancelled after it had been confirmed counts as confirmed: its cart was bought.
    """
    url = f"{bus.settings.orders_url}/internal/orders/{order_id}"
    try:
        told: dict[str, Any] = await bus.resources.peers.request("GET", url)
    except Problem as refusal:
        if refusal.status == NOT_FOUND:
            return None
        raise
    return "confirmed" if told.get("confirmed_at") else str(told["status"])


async def abandon_carts(database: Database) -> int:
    """Give up open carts that rested too long; returns how many."""
    async with database.transaction() as tx:
        return await locks.abandon(tx, bus.settings.abandon_after)


def _ask_for_products() -> RequestProductSnapshots:
    return RequestProductSnapshots(operation_id=new_id(), request_id=new_id(), reply_to="svc.cart")


def _ask_for_stock() -> RequestStockSnapshots:
    return RequestStockSnapshots(operation_id=new_id(), request_id=new_id(), reply_to="svc.cart")


sweeps = (
    Sweep(LOCKS.name, check_locks),
    Sweep("abandoned carts", abandon_carts, every=60),
    request_snapshots_while_empty("products", products.knows_no_product, _ask_for_products),
    request_snapshots_while_empty("stock", products.knows_no_stock, _ask_for_stock),
)
