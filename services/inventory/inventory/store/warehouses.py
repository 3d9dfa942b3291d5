"""Warehouses, and the recounts that are left after one opened or closed."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import BigInteger, delete, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.driver import Sql
from inventory.domain.stock import stock_items
from inventory.domain.warehouse import Recount, Warehouse, WarehouseInUse, WarehouseUnknown

PENDING_RECOUNTS = Sql(
    "select warehouse_id from recounts where not warehouse_id = any(cast(:without as uuid[])) "
    "order by created_at limit :limit"
)


async def get_warehouse(tx: AsyncSession, warehouse_id: UUID) -> Warehouse:
    """One warehouse; raises WarehouseUnknown."""
    found = await tx.get(Warehouse, warehouse_id)
    if found is None:
        raise WarehouseUnknown
    return found


async def lock_warehouse(tx: AsyncSession, warehouse_id: UUID) -> Warehouse:
    """Lock a warehouse to change it; raises WarehouseUnknown."""
    found = await tx.get(Warehouse, warehouse_id, with_for_update=True)
    if found is None:
        raise WarehouseUnknown
    return found


async def share_lock_warehouses(tx: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Warehouse]:
    """Lock the warehouses against changes by others; raises WarehouseUnknown.

    A writer that adds a stock item calls this before it locks stock: otherwise a warehouse that
    closes at the same moment would miss the item, which would then still count as for sale.
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


async def count_variants(tx: AsyncSession, warehouse_id: UUID) -> int:
    """How many variants the warehouse stocks or stocked."""
    counted = (
        select(func.count())
        .select_from(stock_items)
        .where(stock_items.c.warehouse_id == warehouse_id)
    )
    return int(await tx.scalar(counted) or 0)


async def list_variant_ids(
    tx: AsyncSession, warehouse_id: UUID, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """The variants that the warehouse stocks or stocked, in the order of their ids."""
    variant_id = stock_items.c.variant_id
    query = select(variant_id).where(stock_items.c.warehouse_id == warehouse_id)
    if after is not None:
        query = query.where(variant_id > after)
    return (await tx.scalars(query.order_by(variant_id).limit(limit))).all()


async def remove_warehouse(tx: AsyncSession, warehouse: Warehouse) -> None:
    """Delete a locked warehouse that never stocked a variant; raises WarehouseInUse."""
    if await list_variant_ids(tx, warehouse.id, None, 1):
        raise WarehouseInUse
    await tx.execute(delete(Warehouse).where(Warehouse.id == warehouse.id))


async def lock_recount(tx: AsyncSession, warehouse_id: UUID) -> Recount | None:
    """Lock the recount that is left for a warehouse, if there is one."""
    return await tx.get(Recount, warehouse_id, with_for_update=True)


async def find_recount(tx: AsyncSession, warehouse_id: UUID) -> Recount | None:
    """The recount that is left for a warehouse, or None."""
    return await tx.get(Recount, warehouse_id)


async def list_recounts(tx: AsyncSession, ids: Collection[UUID]) -> Sequence[Recount]:
    """The recounts that are left for some warehouses."""
    return (await tx.scalars(select(Recount).where(Recount.warehouse_id.in_(ids)))).all()


async def list_pending_recounts(
    database: Database, without: Collection[UUID], limit: int
) -> list[UUID]:
    """Warehouses with a recount left, the oldest first, except `without`."""
    values = {"without": list(without), "limit": limit}
    return [row[0] for row in await database.fetch(PENDING_RECOUNTS, values)]
