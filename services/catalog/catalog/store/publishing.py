"""What a change of products ends with: prices recorded, customers' view remade, others told."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain import Product
from catalog.store import categories, listings, prices, products
from catalog.store.conflicts import flush
from chassis import outbox

REMADE_AT_ONCE = 200


async def publish(tx: AsyncSession, changed: Sequence[Product], by: str, now: datetime) -> None:
    """Finish a change of products, which are locked or new; raises what their rules refuse."""
    for product in changed:
        product.check()
        product.schedule(now)
        product.touch()
        product.updated_by, product.updated_at = by, now
        outbox.add(tx, product.announce())
    tx.add_all(changed)
    await flush(tx)
    await prices.record(tx, [(each, now) for each in changed if each.deleted_at is None])
    await listings.keep(tx, changed, now)


async def remake(
    tx: AsyncSession, product_ids: Collection[UUID], now: datetime, *, announced: bool = False
) -> None:
    """Show products anew after something around them changed; `announced` tells others as well."""
    ordered = sorted(product_ids)
    for start in range(0, len(ordered), REMADE_AT_ONCE):
        locked = await products.lock_products(tx, ordered[start : start + REMADE_AT_ONCE])
        if announced:
            outbox.add(tx, *(product.announce() for product in locked))
            await tx.flush()
        await listings.keep(tx, locked, now)


async def reprice(tx: AsyncSession, due: Sequence[UUID], now: datetime) -> int:
    """Follow discount windows that opened or closed; returns how many products had one."""
    await categories.hold_tree(tx)
    locked = await products.lock_products(tx, due)
    turned: Sequence[tuple[Product, datetime]] = [
        (product, product.price_changes_at)
        for product in locked
        if product.price_changes_at is not None and product.price_changes_at <= now
    ]
    await prices.record(tx, turned)
    for product, turned_at in turned:
        product.schedule(turned_at)
    await listings.keep(tx, [product for product, _ in turned], now)
    return len(turned)
