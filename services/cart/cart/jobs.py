"""Periodic work: check old locks against orders, abandon carts at rest, fill empty copies."""

from uuid import UUID

import structlog

from cart.clients import OrderStatuses
from cart.settings import CartSettings
from cart.store import lifecycle, products
from chassis.bootstrap import request_snapshots_while_empty
from chassis.bus import Bus
from chassis.db import Database
from chassis.ids import new_id
from chassis.sweep import Batch, Sweep
from contracts.catalog import RequestProductSnapshots
from contracts.inventory import RequestStockSnapshots

log = structlog.get_logger()


def sweeps_of(bus: Bus[CartSettings]) -> tuple[Sweep, ...]:
    """The sweeps of a service that is composed on this bus."""
    locks = Batch[UUID]("old locks")

    async def check(database: Database) -> int:
        statuses, max_age = bus.resources.order_statuses, bus.settings.lock_check_after
        return await check_locks(database, statuses, locks, max_age)

    async def abandon(database: Database) -> int:
        async with database.transaction() as tx:
            return await lifecycle.abandon(tx, bus.settings.abandon_after)

    return (
        Sweep(locks.name, check),
        Sweep("abandoned carts", abandon, every=60),
        request_snapshots_while_empty("products", products.has_no_product, _request_products),
        request_snapshots_while_empty("stock", products.has_no_stock, _request_stock),
    )


async def check_locks(
    database: Database, statuses: OrderStatuses, locks: Batch[UUID], max_age: float
) -> int:
    """Settle locks older than `max_age` seconds by the status of their orders; returns how many."""
    async with database.transaction() as tx:
        old = await lifecycle.claim_old_locks(tx, max_age)
    done = 0
    for cart_id, order_id in old:
        with locks.isolate(cart_id):
            await _settle_lock(database, cart_id, order_id, await statuses.find(order_id))
            done += 1
    return done


async def _settle_lock(
    database: Database, cart_id: UUID, order_id: UUID, status: str | None
) -> None:
    async with database.transaction() as tx:
        if status in (None, "cancelled"):
            log.info("cart unlocked", cart_id=str(cart_id), order_id=str(order_id))
            await lifecycle.unlock(tx, {cart_id: order_id})
        elif status != "pending":
            await lifecycle.convert(tx, {cart_id: order_id})


def _request_products() -> RequestProductSnapshots:
    return RequestProductSnapshots(operation_id=new_id(), request_id=new_id(), reply_to="svc.cart")


def _request_stock() -> RequestStockSnapshots:
    return RequestStockSnapshots(operation_id=new_id(), request_id=new_id(), reply_to="svc.cart")
