"""Reading stock and its movements for people."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, not_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from inventory.domain.stock import (
    Availability,
    Bucket,
    Direction,
    Operation,
    ReferenceType,
    StockItem,
    StockItemUnknown,
    StockLevel,
    StockMovement,
    VariantUnknown,
)
from inventory.domain.warehouse import Warehouse


class KeptItem(NamedTuple):
    """A stock item and the code of its warehouse."""

    item: StockItem
    warehouse_code: str


async def list_levels(
    tx: AsyncSession,
    *,
    availability: Availability | None,
    sku: str | None,
    product_id: UUID | None,
    warehouse_id: UUID | None,
    after: tuple[str, UUID] | None,
    limit: int,
) -> Sequence[StockLevel]:
    """Variants by SKU; with a warehouse only those that are or were kept there."""
    query = select(StockLevel).order_by(StockLevel.sku, StockLevel.variant_id).limit(limit)
    if availability is not None:
        query = query.where(StockLevel.availability == availability)
    if sku is not None:
        query = query.where(StockLevel.sku == sku)
    if product_id is not None:
        query = query.where(StockLevel.product_id == product_id)
    if warehouse_id is not None:
        kept = select(StockItem.variant_id).where(StockItem.warehouse_id == warehouse_id)
        query = query.where(StockLevel.variant_id.in_(kept))
    if after is not None:
        query = query.where(tuple_(StockLevel.sku, StockLevel.variant_id) > after)
    return (await tx.scalars(query)).all()


async def get_level(tx: AsyncSession, variant_id: UUID) -> StockLevel:
    """One variant's level; raises VariantUnknown."""
    found = await tx.get(StockLevel, variant_id)
    if found is None:
        raise VariantUnknown
    return found


async def list_items(tx: AsyncSession, variant_ids: Collection[UUID]) -> dict[UUID, list[KeptItem]]:
    """Read the stock items of the variants, in the order in which they are emptied."""
    query = _items().where(StockItem.variant_id.in_(variant_ids))
    items: dict[UUID, list[KeptItem]] = {}
    for item, code in await tx.execute(query):
        items.setdefault(item.variant_id, []).append(KeptItem(item, code))
    return items


async def get_item(tx: AsyncSession, variant_id: UUID, warehouse_id: UUID) -> KeptItem:
    """One stock item; raises StockItemUnknown."""
    query = _items().where(
        StockItem.variant_id == variant_id, StockItem.warehouse_id == warehouse_id
    )
    found = (await tx.execute(query)).first()
    if found is None:
        raise StockItemUnknown
    return KeptItem(*found)


def _items() -> Select[StockItem, str]:
    return (
        select(StockItem, Warehouse.code)
        .join(Warehouse, Warehouse.id == StockItem.warehouse_id)
        .order_by(Warehouse.priority, Warehouse.code)
        # What was moved in this transaction went past the ORM; read what is stored.
        .execution_options(populate_existing=True)
    )


class MovementFilter(NamedTuple):
    """Which movements are wanted; None stands for all."""

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
) -> Sequence[StockMovement]:
    """Movements, newest first."""
    query = select(StockMovement).order_by(StockMovement.id.desc()).limit(limit)
    for column, value in wanted._asdict().items():
        if value is not None and column != "direction":
            query = query.where(getattr(StockMovement, column) == value)
    if wanted.direction is not None:
        query = query.where(_moved(wanted.direction))
    if before is not None:
        query = query.where(StockMovement.id < before)
    return (await tx.scalars(query)).all()


async def get_movement(tx: AsyncSession, movement_id: UUID) -> StockMovement:
    """One movement, which must be there."""
    return await tx.get_one(StockMovement, movement_id)


def _moved(direction: Direction) -> ColumnElement[bool]:
    """`StockMovement.direction` as a condition."""
    recounted: Any = StockMovement.reference_type == "manual"
    record_arrival: Any = StockMovement.adjustment > 0
    where = {
        "adjustment": recounted,
        "in": and_(not_(recounted), record_arrival),
        "out": not_(or_(recounted, record_arrival)),
    }[direction]
    return and_(StockMovement.bucket == "on_hand", where)
