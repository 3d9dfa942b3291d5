"""Queries on what becomes of carts: converted, unlocked, merged, moved, deleted, abandoned."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.cart import CartBusy
from chassis import driver
from chassis.constraints import violations_as
from chassis.driver import Sql

ATTEMPTS = 3

# Rows are locked in one order, so that two batches never deadlock.
CONVERT = Sql(
    "with sold as (select id from carts join "
    "unnest(cast(:carts as uuid[]), cast(:orders as uuid[])) as given(cart_id, order_id) "
    "on id = cart_id and carts.order_id = given.order_id where status = 'locked' "
    "order by id for update of carts) "
    "update carts set status = 'converted', version = version + 1, updated_at = now() "
    "from sold where carts.id = sold.id"
)
LOCK_LOCKED = Sql(
    "select id, customer_id from carts join "
    "unnest(cast(:carts as uuid[]), cast(:orders as uuid[])) as given(cart_id, order_id) "
    "on id = cart_id and carts.order_id = given.order_id where status = 'locked' "
    "order by id for update of carts"
)
LOCK_ACTIVE = Sql(
    "select id, customer_id from carts where customer_id = any(cast(:customers as uuid[])) "
    "and status = 'active' order by id for update"
)
REACTIVATE = Sql(
    "update carts set status = 'active', order_id = null, locked = null, lock_checked_at = null, "
    "subtotal_amount = 0, discount_amount = 0, shipping_amount = 0, tax_amount = 0, "
    "total_amount = 0, version = version + 1, last_activity_at = now(), updated_at = now() "
    "where id = any(cast(:ids as uuid[]))"
)
# The newer cart takes from the older one what it does not have itself.
INHERIT = Sql(
    "update carts set email = coalesce(carts.email, old.email), "
    "coupon_code = coalesce(carts.coupon_code, old.coupon_code), "
    "shipping_address = coalesce(carts.shipping_address, old.shipping_address), "
    "billing_address = coalesce(carts.billing_address, old.billing_address), "
    "shipping_method_id = coalesce(carts.shipping_method_id, old.shipping_method_id), "
    "version = carts.version + 1, last_activity_at = now(), updated_at = now() "
    "from carts old where carts.id = :target and old.id = :source"
)
RETIRE = Sql(
    "update carts set status = 'abandoned', merged_into = :target, order_id = null, locked = null, "
    "lock_checked_at = null, version = version + 1, updated_at = now() where id = :source"
)
CLAIM_OLD_LOCKS = Sql(
    "update carts set lock_checked_at = now() where id = any(array(select id from carts "
    "where status = 'locked' and lock_checked_at < now() - cast(:age as interval) "
    "order by lock_checked_at limit 50 for update skip locked)) returning id, order_id"
)
ABANDON = Sql(
    "update carts set status = 'abandoned', version = version + 1, updated_at = now() "
    "where id = any(array(select id from carts where status = 'active' "
    "and last_activity_at < now() - cast(:age as interval) "
    "order by last_activity_at limit 500 for update skip locked))"
)
MOVE_LINES = Sql(
    "with moved as (delete from cart_items where cart_id = :source returning *) "
    "insert into cart_items as own (id, cart_id, variant_id, product_id, sku, product_name, "
    "variant_description, unit_price_amount, quantity, customization, customization_key, added_at) "
    "select id, :target, variant_id, product_id, sku, product_name, variant_description, "
    "unit_price_amount, quantity, customization, customization_key, added_at from moved "
    "on conflict (cart_id, variant_id, customization_key) do update "
    "set quantity = least(99, own.quantity + excluded.quantity), updated_at = now()"
)
# Guests' carts that were merged into one of the customer's go as well. An order whose cart is
# deleted does not need it: it copied the cart when it locked it.
DELETE = Sql(
    "delete from carts where customer_id = :customer "
    "or merged_into in (select id from carts where customer_id = :customer)"
)
LOCK_ACTIVE_OF_BOTH = Sql(
    "select id, customer_id from carts where customer_id in (:before, :after) "
    "and status = 'active' order by id for update"
)
MOVE = Sql(
    "update carts set customer_id = :after, version = version + 1, updated_at = now() "
    "where customer_id = :before"
)


def _pairs(orders: Mapping[UUID, UUID]) -> dict[str, list[UUID]]:
    return {"carts": list(orders), "orders": list(orders.values())}


async def _retry(tx: AsyncSession, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work in a savepoint; repeat it where the customer just began another cart."""
    for _ in range(ATTEMPTS):
        with suppress(CartBusy), violations_as(uq_carts_active_customer_id=CartBusy):
            async with driver.savepoint(tx):
                await work()
            return
    raise CartBusy


async def convert(tx: AsyncSession, orders: Mapping[UUID, UUID]) -> None:
    """Convert the carts that these orders (cart → order) have locked."""
    await driver.execute(tx, CONVERT, _pairs(orders))


async def unlock(tx: AsyncSession, orders: Mapping[UUID, UUID]) -> None:
    """Open the carts that these orders (cart → order) have locked; other locks stay.

    Where the customer has begun another cart meanwhile, the old one is merged into it.
    """
    locked = await driver.fetch(tx, LOCK_LOCKED, _pairs(orders))
    await _retry(tx, lambda: _reopen(tx, locked))


async def _reopen(tx: AsyncSession, locked: Sequence[Any]) -> None:
    """Open carts whose rows are locked, or merge them into newer ones."""
    customers = {row.customer_id for row in locked if row.customer_id is not None}
    active: dict[UUID, UUID] = {}
    if customers:
        rows = await driver.fetch(tx, LOCK_ACTIVE, {"customers": sorted(customers)})
        active = {row.customer_id: row.id for row in rows}
    opened: list[UUID] = []
    merged: list[tuple[UUID, UUID]] = []
    # The newest of several becomes the open one.
    for row in reversed(locked):
        if row.customer_id in active:
            merged.append((row.id, active[row.customer_id]))
            continue
        opened.append(row.id)
        if row.customer_id is not None:
            active[row.customer_id] = row.id
    if opened:
        await driver.execute(tx, REACTIVATE, {"ids": opened})
    for source, target in merged:
        await merge(tx, source, target)


async def merge(tx: AsyncSession, source: UUID, target: UUID) -> None:
    """Move one cart's lines into another and abandon it; both rows must be locked.

    Quantities of equal lines are summed, to at most 99.
    """
    both = {"source": source, "target": target}
    for statement in (MOVE_LINES, INHERIT, RETIRE):
        await driver.execute(tx, statement, both)


async def delete_carts(tx: AsyncSession, customer_id: UUID) -> None:
    """Delete every cart of a customer, whatever its status."""
    await driver.execute(tx, DELETE, {"customer": customer_id})


async def move_carts(tx: AsyncSession, before: UUID, after: UUID) -> None:
    """Give the carts of one customer to another; of two open ones the older is merged."""
    both = {"before": before, "after": after}

    async def move() -> None:
        rows = await driver.fetch(tx, LOCK_ACTIVE_OF_BOTH, both)
        active = {row.customer_id: row.id for row in rows}
        if len(active) > 1:
            await merge(tx, active[before], active[after])
        await driver.execute(tx, MOVE, both)

    await _retry(tx, move)


async def claim_old_locks(tx: AsyncSession, max_age: float) -> Collection[tuple[UUID, UUID]]:
    """Carts and orders of locks older than `max_age` seconds, each claimed once in that time."""
    rows = await driver.fetch(tx, CLAIM_OLD_LOCKS, {"age": timedelta(seconds=max_age)})
    return [(row.id, row.order_id) for row in rows]


async def abandon(tx: AsyncSession, max_age: float) -> int:
    """Abandon open carts that did not change for `max_age` seconds; returns how many."""
    return await driver.execute(tx, ABANDON, {"age": timedelta(seconds=max_age)})
