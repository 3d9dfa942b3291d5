"""Listing the products below a changed category again: the first at once, the rest by a sweep."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain import Relisting
from catalog.store import products
from catalog.store.publishing import REMADE_AT_ONCE, remake
from chassis.db import Database

WAITING = text(
    "select category_id from relistings where not category_id = any(cast(:without as uuid[])) "
    "order by created_at limit :limit"
)


async def start_relisting(
    tx: AsyncSession, category_id: UUID, now: datetime, *, announced: bool
) -> Relisting | None:
    """List the first products below a locked category; returns what is left, if anything is."""
    total = await products.count_below(tx, category_id)
    job = await tx.get(Relisting, category_id, with_for_update=True)
    if job is None:
        job = Relisting(category_id=category_id, is_announced=False)
    job.after, job.done, job.total = None, 0, total
    job.is_announced = job.is_announced or announced
    tx.add(job)
    await tx.flush()
    return await _advance(tx, job, now)


async def go_on(tx: AsyncSession, category_id: UUID, now: datetime) -> int:
    """List the next products below a category, the tree held; returns how many."""
    job = await tx.get(Relisting, category_id, with_for_update=True)
    if job is None:
        return 0
    before = job.done
    await _advance(tx, job, now)
    return job.done - before


async def _advance(tx: AsyncSession, job: Relisting, now: datetime) -> Relisting | None:
    ids = await products.list_ids_below(tx, job.category_id, job.after, REMADE_AT_ONCE)
    await remake(tx, ids, now, announced=job.is_announced)
    job.done += len(ids)
    if len(ids) < REMADE_AT_ONCE:
        await tx.delete(job)
        return None
    job.after = ids[-1]
    return job


async def find_relisting(tx: AsyncSession, category_id: UUID) -> Relisting | None:
    """What is left to do for a category, or None."""
    return await tx.get(Relisting, category_id)


async def list_relistings(tx: AsyncSession) -> Sequence[Relisting]:
    """What is left to do for all categories."""
    return (await tx.scalars(select(Relisting))).all()


async def list_waiting(database: Database, without: Collection[UUID], limit: int) -> list[UUID]:
    """Categories with products left to list, the oldest first, `without` some."""
    values = {"without": list(without), "limit": limit}
    return list((await database.execute_once(WAITING, values)).scalars())
