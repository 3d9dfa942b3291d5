"""Queries on the lock of carts: taken by an order, given back, or turned into a sale."""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.basket import Basket, CartBusy
from cart.domain.pricing import Cost
from cart.store.lines import move_lines
from chassis.constraints import violations_as

TRIES = 3

# The version is checked in the statement itself: another lock or a change that came first wins.
LOCK = text(
    "update carts set status = 'locked', order_id = :order_id, locked = cast(:locked as jsonb), "
    "lock_checked_at = now(), email = :email, coupon_code = :coupon_code, "
    "shipping_address = cast(:shipping_address as jsonb), "
    "billing_address = cast(:billing_address as jsonb), shipping_method_id = :shipping_method_id, "
    "subtotal_amount = :subtotal, discount_amount = :discount, shipping_amount = :shipping, "
    "tax_amount = :tax, total_amount = :total, version = version + 1, "
    "last_activity_at = now(), updated_at = now() "
    "where id = :id and version = :version and status = 'active' returning id"
)
# Rows are taken in one order, so that two batches never wait for each other in a circle.
CONVERT = text(
    "with sold as (select id from carts join "
    "unnest(cast(:carts as uuid[]), cast(:orders as uuid[])) as given(cart_id, order_id) "
    "on id = cart_id and carts.order_id = given.order_id where status = 'locked' "
    "order by id for update of carts) "
    "update carts set status = 'converted', version = version + 1, updated_at = now() "
    "from sold where carts.id = sold.id"
)
TAKE_LOCKED = text(
    "select id, customer_id from carts join "
    "unnest(cast(:carts as uuid[]), cast(:orders as uuid[])) as given(cart_id, order_id) "
    "on id = cart_id and carts.order_id = given.order_id where status = 'locked' "
    "order by id for update of carts"
)
TAKE_ACTIVE = text(
    "select id, customer_id from carts where customer_id = any(cast(:customers as uuid[])) "
    "and status = 'active' order by id for update"
)
REACTIVATE = text(
    "update carts set status = 'active', order_id = null, locked = null, lock_checked_at = null, "
    "subtotal_amount = 0, discount_amount = 0, shipping_amount = 0, tax_amount = 0, "
    "total_amount = 0, version = version + 1, last_activity_at = now(), updated_at = now() "
    "where id = any(cast(:ids as uuid[]))"
)
# What the newer cart does not say yet it takes over from the older one.
INHERIT = text(
    "update carts set email = coalesce(carts.email, old.email), "
    "coupon_code = coalesce(carts.coupon_code, old.coupon_code), "
    "shipping_address = coalesce(carts.shipping_address, old.shipping_address), "
    "billing_address = coalesce(carts.billing_address, old.billing_address), "
    "shipping_method_id = coalesce(carts.shipping_method_id, old.shipping_method_id), "
    "version = carts.version + 1, last_activity_at = now(), updated_at = now() "
    "from carts old where carts.id = :target and old.id = :source"
)
RETIRE = text(
    "update carts set status = 'abandoned', merged_into = :target, order_id = null, locked = null, "
    "lock_checked_at = null, version = version + 1, updated_at = now() where id = :source"
)
STALE = text(
    "update carts set lock_checked_at = now() where id = any(array(select id from carts "
    "where status = 'locked' and lock_checked_at < now() - cast(:age as interval) "
    "order by lock_checked_at limit 50 for update skip locked)) returning id, order_id"
)
ABANDON = text(
    "update carts set status = 'abandoned', version = version + 1, updated_at = now() "
    "where id = any(array(select id from carts where status = 'active' "
    "and last_activity_at < now() - cast(:age as interval) "
    "order by last_activity_at limit 500 for update skip locked))"
)


async def lock(
    tx: AsyncSession, basket: Basket, order_id: UUID, costs: Cost, answer: Mapping[str, Any]
) -> bool:
    """Close an open cart for an order; False when it changed since it was read."""
    found = await tx.execute(
        LOCK,
        {
            "id": basket.id,
            "version": basket.version,
            "order_id": order_id,
            "locked": json.dumps(answer),
            "email": basket.email,
            "coupon_code": basket.coupon_code,
            "shipping_address": json.dumps(basket.shipping_address),
            "billing_address": json.dumps(basket.billing_address)
            if basket.billing_address
            else None,
            "shipping_method_id": basket.shipping_method_id,
            "subtotal": costs.subtotal_amount,
            "discount": costs.discount_amount,
            "shipping": costs.shipping_amount,
            "tax": costs.tax_amount,
            "total": costs.total_amount,
        },
    )
    return found.first() is not None


def _pairs(given: Mapping[UUID, UUID]) -> dict[str, list[UUID]]:
    return {"carts": list(given), "orders": list(given.values())}


async def convert(tx: AsyncSession, orders: Mapping[UUID, UUID]) -> None:
    """Close for good the carts that these orders (cart → order) have locked."""
    await tx.execute(CONVERT, _pairs(orders))


async def unlock(tx: AsyncSession, orders: Mapping[UUID, UUID]) -> None:
    """Open the carts that these orders (cart → order) have locked; other locks stay.

    Where the customer has begun another cart meanwhile, the old one is merged into it.
    """
    locked = (await tx.execute(TAKE_LOCKED, _pairs(orders))).all()
    for _ in range(TRIES):
        # Where the customer began a new cart between our look and our change, look again.
        with suppress(CartBusy), violations_as(uq_carts_active_customer_id=CartBusy):
            async with tx.begin_nested():
                await _give_back(tx, locked)
            return
    raise CartBusy


async def _give_back(tx: AsyncSession, locked: Sequence[Row[Any]]) -> None:
    """Open carts whose rows are held, or merge them into newer ones."""
    customers = {row.customer_id for row in locked if row.customer_id is not None}
    active: dict[UUID, UUID] = {}
    if customers:
        rows = await tx.execute(TAKE_ACTIVE, {"customers": sorted(customers)})
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
        await tx.execute(REACTIVATE, {"ids": opened})
    for source, target in merged:
        await merge(tx, source, target)


async def merge(tx: AsyncSession, source: UUID, target: UUID) -> None:
    """Empty one cart into another and retire it; both rows must be held."""
    await move_lines(tx, source, target)
    await tx.execute(INHERIT, {"source": source, "target": target})
    await tx.execute(RETIRE, {"source": source, "target": target})


async def take_stale_locks(tx: AsyncSession, age: float) -> Collection[tuple[UUID, UUID]]:
    """Carts and orders of locks older than `age` seconds; each is given out once in that time."""
    rows = await tx.execute(STALE, {"age": timedelta(seconds=age)})
    return [(row.id, row.order_id) for row in rows]


async def abandon(tx: AsyncSession, age: float) -> int:
    """Give up open carts nobody touched for `age` seconds; returns how many."""
    found = await tx.execute(ABANDON, {"age": timedelta(seconds=age)})
    return int(found.rowcount)  # type: ignore[attr-defined]
