"""Telling the stock of a warehouse that opened or closed: a part at once, the rest by a sweep."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.db import Database
from inventory.domain.warehouse import Recount
from inventory.store import stock, warehouses

COUNTED_AT_ONCE = 200
WAITING = text(
    "select warehouse_id from recounts where not warehouse_id = any(cast(:without as uuid[])) "
    "order by created_at limit :limit"
)


async def start_recount(tx: AsyncSession, warehouse_id: UUID) -> Recount | None:
    """Count the first variants of a locked warehouse; returns what is left, if anything is."""
    total = await warehouses.count_variants_kept(tx, warehouse_id)
    job = await tx.get(Recount, warehouse_id, with_for_update=True) or Recount(
        warehouse_id=warehouse_id
    )
    job.after, job.done, job.total = None, 0, total
    tx.add(job)
    await tx.flush()
    return await _advance(tx, job)


async def go_on(tx: AsyncSession, warehouse_id: UUID) -> int:
    """Count the next variants of a warehouse; returns how many."""
    job = await tx.get(Recount, warehouse_id, with_for_update=True)
    if job is None:
        return 0
    before = job.done
    await _advance(tx, job)
    return job.done - before


async def _advance(tx: AsyncSession, job: Recount) -> Recount | None:
    ids = await warehouses.list_variants_kept(tx, job.warehouse_id, job.after, COUNTED_AT_ONCE)
    locked = await stock.lock_stock(tx, ids)
    for events in (await stock.save_stock(tx, locked)).values():
        outbox.add(tx, *events)
    job.done += len(ids)
    if len(ids) < COUNTED_AT_ONCE:
        await tx.delete(job)
        return None
    job.after = ids[-1]
    return job


async def find_recount(tx: AsyncSession, warehouse_id: UUID) -> Recount | None:
    """What is left to do for a warehouse, or None."""
    return await tx.get(Recount, warehouse_id)


async def list_recounts(tx: AsyncSession, ids: Collection[UUID]) -> Sequence[Recount]:
    """What is left to do for some warehouses."""
    return (await tx.scalars(select(Recount).where(Recount.warehouse_id.in_(ids)))).all()


async def list_waiting(database: Database, without: Collection[UUID], limit: int) -> list[UUID]:
    """Warehouses with variants left to count, the oldest first, `without` some."""
    values = {"without": list(without), "limit": limit}
    return list((await database.execute_once(WAITING, values)).scalars())
