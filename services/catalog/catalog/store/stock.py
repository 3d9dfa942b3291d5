"""Queries on the copy of inventory's word on each variant."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain import VariantStock
from catalog.showcase import Availability
from contracts.inventory import StockState

LOCK = text(
    "select variant_id, sequence, availability from variant_stock "
    "where variant_id = any(cast(:variant_ids as uuid[])) order by variant_id for update"
)
KEEP = text(
    "insert into variant_stock (variant_id, product_id, sequence, availability) "
    "select * from unnest(cast(:variant_ids as uuid[]), cast(:product_ids as uuid[]), "
    "cast(:sequences as bigint[]), cast(:availabilities as text[])) "
    "on conflict (variant_id) do update set sequence = excluded.sequence, "
    "availability = excluded.availability, updated_at = now() "
    "where variant_stock.sequence < excluded.sequence"
)


async def knows_none(tx: AsyncSession) -> bool:
    """Whether inventory was never heard of."""
    return (await tx.execute(select(VariantStock.variant_id).limit(1))).first() is None


async def keep(tx: AsyncSession, events: Iterable[StockState]) -> set[UUID]:
    """Remember the newest word on each variant; returns the products that look different now."""
    newest = {event.variant_id: event for event in sorted(events, key=lambda e: e.sequence)}
    ids = sorted(newest)
    known = {row.variant_id: row for row in await tx.execute(LOCK, {"variant_ids": ids})}
    fresh = [
        newest[variant]
        for variant in ids
        if variant not in known or known[variant].sequence < newest[variant].sequence
    ]
    if not fresh:
        return set()
    rows = {
        "variant_ids": [event.variant_id for event in fresh],
        "product_ids": [event.product_id for event in fresh],
        "sequences": [event.sequence for event in fresh],
        "availabilities": [event.availability for event in fresh],
    }
    await tx.execute(KEEP, rows)
    return {
        event.product_id
        for event in fresh
        if event.variant_id not in known
        or known[event.variant_id].availability != event.availability
    }


async def availabilities(tx: AsyncSession, product_ids: Sequence[UUID]) -> dict[UUID, Availability]:
    """The availability of each variant of these products, as far as inventory spoke of it."""
    query = select(VariantStock.variant_id, VariantStock.availability)
    found = await tx.execute(query.where(VariantStock.product_id.in_(product_ids)))
    return {row.variant_id: row.availability for row in found}
