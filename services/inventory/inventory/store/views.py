"""Stock, movements and reservations as staff, other services and metrics read them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import case, select, text, tuple_
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.driver import Sql
from chassis.gauges import DatabaseGauge
from inventory.domain.reservation import ReservationUnknown, State, allocations, reservations
from inventory.domain.stock import (
    Availability,
    Bucket,
    Direction,
    Operation,
    ReferenceType,
    StockItemUnknown,
    VariantUnknown,
    stock_items,
    stock_levels,
    stock_movements,
)
from inventory.domain.warehouse import Warehouse

GAUGES: Final = (
    DatabaseGauge(
        "cartwright_stock_oversold_items",
        "Stock items that reserve more than is on hand, or other than what orders hold.",
        Sql(
            "select count(*) as value from stock_items left join ("
            "select variant_id, warehouse_id, sum(quantity - deducted) as promised "
            "from allocations join reservations using (order_id) "
            "where state in ('held', 'committed') group by 1, 2) p "
            "using (variant_id, warehouse_id) "
            "where reserved < 0 or on_hand < reserved or reserved <> coalesce(promised, 0)"
        ),
        every=60,
    ),
)
LIVE_HOLDS = text(
    "select r.order_id, r.state, r.updated_at, coalesce(sum(a.quantity - a.deducted), 0)::bigint "
    "as pieces from reservations r left join allocations a using (order_id) "
    "where r.state in ('held', 'committed') "
    "and (cast(:since as uuid) is null or r.order_id >= :since) "
    "and (cast(:after as uuid) is null or r.order_id > :after) "
    "group by r.order_id order by r.order_id limit :limit"
)
HOLD = text(
    "select r.order_id, r.state, r.updated_at, case when r.state in ('held', 'committed') "
    "then coalesce(sum(a.quantity - a.deducted), 0)::bigint else 0 end as pieces "
    "from reservations r left join allocations a using (order_id) "
    "where r.order_id = :order_id group by r.order_id"
)

LEVELS: Final = select(
    stock_levels, (stock_levels.c.on_hand - stock_levels.c.reserved).label("available")
)
ITEMS: Final = (
    select(
        stock_items,
        (stock_items.c.on_hand - stock_items.c.reserved).label("available"),
        stock_levels.c.sku,
        Warehouse.code.label("warehouse_code"),
    )
    .join(Warehouse, Warehouse.id == stock_items.c.warehouse_id)
    .join(stock_levels, stock_levels.c.variant_id == stock_items.c.variant_id)
    .order_by(Warehouse.priority, Warehouse.code)
)
# Whether pieces came in, went out or were recounted; null where only reservations moved.
DIRECTION: Final = case(
    (stock_movements.c.bucket == "reserved", None),
    (stock_movements.c.reference_type == "manual", "adjustment"),
    (stock_movements.c.adjustment > 0, "in"),
    else_="out",
)
MOVEMENTS: Final = select(stock_movements, DIRECTION.label("direction"))


async def list_levels(
    tx: AsyncSession,
    *,
    availability: Availability | None,
    sku: str | None,
    product_id: UUID | None,
    warehouse_id: UUID | None,
    after: tuple[str, UUID] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Variants by SKU; with a warehouse only those that it stocks or stocked."""
    level = stock_levels.c
    query = LEVELS.order_by(level.sku, level.variant_id).limit(limit)
    if availability is not None:
        query = query.where(level.availability == availability)
    if sku is not None:
        query = query.where(level.sku == sku)
    if product_id is not None:
        query = query.where(level.product_id == product_id)
    if warehouse_id is not None:
        stocked = select(stock_items.c.variant_id).where(stock_items.c.warehouse_id == warehouse_id)
        query = query.where(level.variant_id.in_(stocked))
    if after is not None:
        query = query.where(tuple_(level.sku, level.variant_id) > after)
    return (await tx.execute(query)).all()


async def get_level(tx: AsyncSession, variant_id: UUID) -> Row[Any]:
    """One variant's level; raises VariantUnknown."""
    query = LEVELS.where(stock_levels.c.variant_id == variant_id)
    found = (await tx.execute(query)).one_or_none()
    if found is None:
        raise VariantUnknown
    return found


async def list_items(tx: AsyncSession, variant_ids: Collection[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The variants' stock items, in the order in which their warehouses are emptied."""
    items: dict[UUID, list[Row[Any]]] = {}
    for row in await tx.execute(ITEMS.where(stock_items.c.variant_id.in_(variant_ids))):
        items.setdefault(row.variant_id, []).append(row)
    return items


async def get_item(tx: AsyncSession, variant_id: UUID, warehouse_id: UUID) -> Row[Any]:
    """One stock item; raises StockItemUnknown."""
    query = ITEMS.where(
        stock_items.c.variant_id == variant_id, stock_items.c.warehouse_id == warehouse_id
    )
    found = (await tx.execute(query)).one_or_none()
    if found is None:
        raise StockItemUnknown
    return found


class MovementFilter(NamedTuple):
    """Which movements to list; None matches all."""

    variant_id: UUID | None = None
    warehouse_id: UUID | None = None
    operation: Operation | None = None
    bucket: Bucket | None = None
    direction: Direction | None = None
    reference_type: ReferenceType | None = None
    reference_id: UUID | None = None
    user_id: UUID | None = None


async def list_movements(
    tx: AsyncSession, wanted: MovementFilter, *, before: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Movements, newest first."""
    query = MOVEMENTS.order_by(stock_movements.c.id.desc()).limit(limit)
    for name, value in wanted._asdict().items():
        if value is not None:
            column = DIRECTION if name == "direction" else stock_movements.c[name]
            query = query.where(column == value)
    if before is not None:
        query = query.where(stock_movements.c.id < before)
    return (await tx.execute(query)).all()


async def get_movement(tx: AsyncSession, movement_id: UUID) -> Row[Any]:
    """One movement, which must exist."""
    return (await tx.execute(MOVEMENTS.where(stock_movements.c.id == movement_id))).one()


async def list_reservations(
    tx: AsyncSession,
    *,
    state: State | None,
    made_before: datetime | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Reservations, oldest first."""
    row = reservations.c
    query = select(reservations).order_by(row.created_at, row.order_id).limit(limit)
    if state is not None:
        query = query.where(row.state == state)
    if made_before is not None:
        query = query.where(row.created_at < made_before)
    if after is not None:
        query = query.where(tuple_(row.created_at, row.order_id) > after)
    return (await tx.execute(query)).all()


async def get_reservation(tx: AsyncSession, order_id: UUID) -> Row[Any]:
    """One order's reservation; raises ReservationUnknown."""
    query = select(reservations).where(reservations.c.order_id == order_id)
    found = (await tx.execute(query)).one_or_none()
    if found is None:
        raise ReservationUnknown
    return found


async def list_allocations(
    tx: AsyncSession, order_ids: Collection[UUID]
) -> dict[UUID, list[Row[Any]]]:
    """The orders' allocated lines."""
    row = allocations.c
    query = (
        select(allocations)
        .where(row.order_id.in_(order_ids))
        .order_by(row.order_id, row.line_id, row.warehouse_id)
    )
    lines: dict[UUID, list[Row[Any]]] = {}
    for line in await tx.execute(query):
        lines.setdefault(line.order_id, []).append(line)
    return lines


async def list_live_holds(
    tx: AsyncSession, *, since: UUID | None, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """What orders hold that has not left the warehouse, by order id, `limit + 1` rows."""
    wanted = {"since": since, "after": after, "limit": limit + 1}
    return (await tx.execute(LIVE_HOLDS, wanted)).all()


async def get_hold(tx: AsyncSession, order_id: UUID) -> Row[Any]:
    """What one order holds; the reservation must exist."""
    return (await tx.execute(HOLD, {"order_id": order_id})).one()
