"""Warehouses: read, locked and listed."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import BigInteger, delete, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from inventory.domain.stock import StockItem
from inventory.domain.warehouse import Warehouse, WarehouseInUse, WarehouseUnknown


async def get_warehouse(tx: AsyncSession, warehouse_id: UUID) -> Warehouse:
    """One warehouse; raises WarehouseUnknown."""
    found = await tx.get(Warehouse, warehouse_id)
    if found is None:
        raise WarehouseUnknown
    return found


async def lock_warehouse(tx: AsyncSession, warehouse_id: UUID) -> Warehouse:
    """Take the warehouse until commit; raises WarehouseUnknown."""
    found = await tx.get(Warehouse, warehouse_id, with_for_update=True)
    if found is None:
        raise WarehouseUnknown
    return found


async def keep_warehouses(tx: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Warehouse]:
    """Keep the warehouses as they are until commit; raises WarehouseUnknown.

    Whoever puts up a new shelf calls this before locking stock: else a warehouse that closes at the
    same moment would not find the shelf and would go on counting it as for sale.
    """
    query = (
        select(Warehouse)
        .where(Warehouse.id.in_(ids))
        .order_by(Warehouse.id)
        .with_for_update(read=True)
    )
    found = {warehouse.id: warehouse for warehouse in await tx.scalars(query)}
    missing = sorted(set(ids) - set(found))
    if missing:
        raise WarehouseUnknown(warehouse_ids=[str(each) for each in missing[:100]])
    return found


async def list_warehouses(
    tx: AsyncSession,
    *,
    is_active: bool | None,
    seller_id: UUID | None,
    after: tuple[int, str] | None,
    limit: int,
) -> Sequence[Warehouse]:
    """Warehouses in the order in which they are emptied."""
    query = select(Warehouse).order_by(Warehouse.priority, Warehouse.code).limit(limit)
    if is_active is not None:
        query = query.where(Warehouse.is_active == is_active)
    if seller_id is not None:
        query = query.where(Warehouse.seller_id == seller_id)
    if after is not None:
        # A position may be any bigint, the column is smaller: the driver refuses what is beyond.
        position = tuple_(literal(after[0], BigInteger), after[1])
        query = query.where(tuple_(Warehouse.priority, Warehouse.code) > position)
    return (await tx.scalars(query)).all()


async def count_variants_kept(tx: AsyncSession, warehouse_id: UUID) -> int:
    """How many variants are or were kept in the warehouse."""
    kept = select(func.count()).where(StockItem.warehouse_id == warehouse_id)
    return int(await tx.scalar(kept) or 0)


async def list_variants_kept(
    tx: AsyncSession, warehouse_id: UUID, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """Read which variants are or were kept in the warehouse, in the order of their ids."""
    query = select(StockItem.variant_id).where(StockItem.warehouse_id == warehouse_id)
    if after is not None:
        query = query.where(StockItem.variant_id > after)
    return (await tx.scalars(query.order_by(StockItem.variant_id).limit(limit))).all()


async def remove_warehouse(tx: AsyncSession, warehouse: Warehouse) -> None:
    """Remove a locked warehouse that never kept anything; raises WarehouseInUse."""
    kept = select(StockItem.variant_id).where(StockItem.warehouse_id == warehouse.id).limit(1)
    if (await tx.execute(kept)).first() is not None:
        raise WarehouseInUse
    await tx.execute(delete(Warehouse).where(Warehouse.id == warehouse.id))
