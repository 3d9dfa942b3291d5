"""Reading orders, for clients, staff and services; the owner rule stands inside each query."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import Caller
from orders.domain.order import (
    CheckoutSaga,
    Order,
    OrderHistory,
    OrderLine,
    OrderShipment,
)
from orders.domain.refusals import OrderNotFound

_VERSIONS = text("select id, version from orders where id = any(cast(:ids as uuid[]))")


def owned_by(caller: Caller | None, token_hash: str | None) -> ColumnElement[bool]:
    """Whose orders somebody may change: their own, and the one that their token names."""
    rules: list[ColumnElement[bool]] = [false()]
    if caller is not None:
        rules.append(Order.customer_id == caller.customer_id)
    if token_hash is not None:
        rules.append(Order.access_hash == token_hash)
    return or_(*rules)


def visible_to(caller: Caller | None, token_hash: str | None) -> ColumnElement[bool]:
    """Whose orders somebody may see: their own, the one their token names, or all for staff."""
    if caller is not None and caller.may("orders:read"):
        return Order.id.is_not(None)
    return owned_by(caller, token_hash)


async def get_order(tx: AsyncSession, order_id: UUID, rule: ColumnElement[bool]) -> Order:
    """An order somebody may see; raises OrderNotFound for any other."""
    order = await tx.scalar(select(Order).where(Order.id == order_id, rule))
    if order is None:
        raise OrderNotFound
    return order


async def find_order(tx: AsyncSession, order_id: UUID) -> Order | None:
    """An order by its id, for other services."""
    return await tx.scalar(select(Order).where(Order.id == order_id))


async def list_orders(
    tx: AsyncSession,
    rule: ColumnElement[bool],
    limit: int,
    after: tuple[datetime, UUID] | None,
    **filters: Any,
) -> Sequence[Order]:
    """Newest first, `limit + 1` rows; `filters` are equalities by column."""
    query = select(Order).where(rule, *(getattr(Order, k) == v for k, v in filters.items()))
    if after is not None:
        query = query.where(tuple_(Order.placed_at, Order.id) < tuple_(*after))
    query = query.order_by(Order.placed_at.desc(), Order.id.desc()).limit(limit + 1)
    return (await tx.scalars(query)).all()


async def list_versions(tx: AsyncSession, order_ids: Iterable[UUID]) -> dict[UUID, int]:
    """The versions of orders by their ids; an order that does not exist is missing."""
    rows = await tx.execute(_VERSIONS, {"ids": list(order_ids)})
    return {row.id: row.version for row in rows}


async def list_lines(tx: AsyncSession, order_ids: Sequence[UUID]) -> Sequence[OrderLine]:
    """The lines of orders, in their places."""
    query = select(OrderLine).where(OrderLine.order_id.in_(order_ids)).order_by(OrderLine.position)
    return (await tx.scalars(query)).all()


async def list_shipments(tx: AsyncSession, order_ids: Sequence[UUID]) -> Sequence[OrderShipment]:
    """The parcels of orders."""
    query = (
        select(OrderShipment)
        .where(OrderShipment.order_id.in_(order_ids))
        .order_by(OrderShipment.shipment_id)
    )
    return (await tx.scalars(query)).all()


async def list_history(tx: AsyncSession, order_id: UUID) -> Sequence[OrderHistory]:
    """Every change of an order's status, oldest first."""
    query = (
        select(OrderHistory)
        .where(OrderHistory.order_id == order_id)
        .order_by(OrderHistory.at, OrderHistory.id)
    )
    return (await tx.scalars(query)).all()


async def get_saga(tx: AsyncSession, order_id: UUID) -> CheckoutSaga:
    """The process of an order; raises OrderNotFound."""
    saga = await tx.scalar(select(CheckoutSaga).where(CheckoutSaga.order_id == order_id))
    if saga is None:
        raise OrderNotFound
    return saga


async def claim_order(tx: AsyncSession, order_id: UUID, caller: Caller) -> bool:
    """Give a guest's order to the verified owner of its e-mail; tells whether it was done."""
    done = await tx.execute(
        update(Order)
        .where(
            and_(
                Order.id == order_id,
                Order.customer_id.is_(None),
                Order.contact_email == caller.email.lower(),
            )
        )
        .values(customer_id=caller.customer_id, user_id=caller.id, version=Order.version + 1)
        .returning(Order.id)
    )
    return done.first() is not None


async def move_orders(tx: AsyncSession, before: UUID, after: UUID) -> None:
    """Let the orders of one customer belong to another: both were the same person."""
    await tx.execute(update(Order).where(Order.customer_id == before).values(customer_id=after))
