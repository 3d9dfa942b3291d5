"""What several edges of catalog start: saving changed products and rebuilding listings."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain.category import Relisting, SlugTaken
from catalog.domain.product import (
    DiscountNotLower,
    DuplicateOptions,
    DuplicateSku,
    NotCustomizable,
    OptionsMissing,
    PriceTooLow,
    Product,
)
from catalog.store import categories, listings, products
from chassis import outbox

LISTING_BATCH = 200
# What `save_products` refuses.
PRODUCT_RULES: Final = (
    DiscountNotLower,
    DuplicateOptions,
    DuplicateSku,
    NotCustomizable,
    OptionsMissing,
    PriceTooLow,
    SlugTaken,
)


async def save_products(
    tx: AsyncSession, changed: Sequence[Product], by: str, now: datetime
) -> None:
    """Save products that are locked or new, with their events, prices and listings.

    Raises PRODUCT_RULES.
    """
    for product in changed:
        product.validate()
        product.schedule_price_change(now)
        product.touch()
        product.updated_by, product.updated_at = by, now
        outbox.add(tx, product.record_change())
    tx.add_all(changed)
    await products.flush(tx)
    await products.record_prices(tx, [(each, now) for each in changed if each.deleted_at is None])
    await listings.upsert_listings(tx, changed, now)


async def rebuild_listings(
    tx: AsyncSession, product_ids: Collection[UUID], now: datetime, *, with_events: bool = False
) -> None:
    """Rebuild the listings of products whose category or stock changed.

    with_events: publish `ProductChanged` too, since the path of the category changed.
    """
    ordered = sorted(product_ids)
    for start in range(0, len(ordered), LISTING_BATCH):
        locked = await products.lock_products(tx, ordered[start : start + LISTING_BATCH])
        if with_events:
            outbox.add(tx, *(product.record_change() for product in locked))
            await tx.flush()
        await listings.upsert_listings(tx, locked, now)


async def apply_price_changes(tx: AsyncSession, due: Sequence[UUID], now: datetime) -> int:
    """Apply discount windows that opened or closed; returns how many products had one."""
    await categories.share_lock_tree(tx)
    changed: Sequence[tuple[Product, datetime]] = [
        (product, product.price_changes_at)
        for product in await products.lock_products(tx, due)
        if product.price_changes_at is not None and product.price_changes_at <= now
    ]
    await products.record_prices(tx, changed)
    for product, changed_at in changed:
        product.schedule_price_change(changed_at)
    await listings.upsert_listings(tx, [product for product, _ in changed], now)
    return len(changed)


async def start_relisting(
    tx: AsyncSession, category_id: UUID, now: datetime, *, with_events: bool
) -> Relisting | None:
    """Rebuild the first listings below a locked category; returns what is left, or None."""
    total = await products.count_below(tx, category_id)
    job = await categories.lock_relisting(tx, category_id)
    if job is None:
        job = Relisting(category_id=category_id, is_announced=False)
    job.after, job.done, job.total = None, 0, total
    job.is_announced = job.is_announced or with_events
    tx.add(job)
    await tx.flush()
    return await _relist_next(tx, job, now)


async def continue_relisting(tx: AsyncSession, category_id: UUID, now: datetime) -> int:
    """Rebuild the next listings below a category; returns how many."""
    await categories.share_lock_tree(tx)
    job = await categories.lock_relisting(tx, category_id)
    if job is None:
        return 0
    before = job.done
    await _relist_next(tx, job, now)
    return job.done - before


async def _relist_next(tx: AsyncSession, job: Relisting, now: datetime) -> Relisting | None:
    ids = await products.list_ids_below(tx, job.category_id, job.after, LISTING_BATCH)
    await rebuild_listings(tx, ids, now, with_events=job.is_announced)
    job.done += len(ids)
    if len(ids) < LISTING_BATCH:
        await tx.delete(job)
        return None
    job.after = ids[-1]
    return job
