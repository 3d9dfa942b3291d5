"""What several edges of inventory start: releases, recounts, and saving stock with its events."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from inventory.domain.reservation import LockedStock, Reservation
from inventory.domain.warehouse import Recount
from inventory.store import stock, warehouses

RECOUNT_BATCH = 200


async def release(tx: AsyncSession, reservations: Iterable[Reservation]) -> LockedStock:
    """Make what locked reservations still hold available again; the caller saves both."""
    live = [each for each in reservations if each.is_live]
    locked = await stock.lock_stock(
        tx, {line.variant_id for each in live for line in each.lines if line.remaining}
    )
    for reservation in live:
        for line in reservation.lines:
            if line.remaining:
                item = locked.item(line.variant_id, line.warehouse_id)
                locked.release(item, line.remaining, reservation.order_id)
        reservation.state = "released"
    return locked


async def save_and_publish(tx: AsyncSession, locked: LockedStock) -> None:
    """Write what was moved, and its events to the outbox."""
    for events in (await stock.save_stock(tx, locked)).values():
        outbox.add(tx, *events)


async def start_recount(tx: AsyncSession, warehouse_id: UUID) -> Recount | None:
    """Recount the first variants of a locked warehouse; returns what is left, or None."""
    job = await warehouses.lock_recount(tx, warehouse_id) or Recount(warehouse_id=warehouse_id)
    job.after, job.done = None, 0
    job.total = await warehouses.count_variants(tx, warehouse_id)
    tx.add(job)
    await tx.flush()
    return await _recount_next(tx, job)


async def continue_recount(tx: AsyncSession, warehouse_id: UUID) -> int:
    """Recount the next variants of a warehouse; returns how many."""
    job = await warehouses.lock_recount(tx, warehouse_id)
    if job is None:
        return 0
    before = job.done
    await _recount_next(tx, job)
    return job.done - before


async def _recount_next(tx: AsyncSession, job: Recount) -> Recount | None:
    ids = await warehouses.list_variant_ids(tx, job.warehouse_id, job.after, RECOUNT_BATCH)
    await save_and_publish(tx, await stock.lock_stock(tx, ids))
    job.done += len(ids)
    if len(ids) < RECOUNT_BATCH:
        await tx.delete(job)
        return None
    job.after = ids[-1]
    return job
