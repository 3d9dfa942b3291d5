"""Queries on whole products, for those who change them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from catalog.domain import Category, Product
from catalog.domain.refusals import ProductNotFound
from chassis.db import Database

WHOLE = (
    selectinload(Product.variants),
    selectinload(Product.images),
    selectinload(Product.category),
)


async def get_product(tx: AsyncSession, product_id: UUID) -> Product:
    """A whole product, retired ones too; raises ProductNotFound."""
    found = await tx.scalar(select(Product).where(Product.id == product_id).options(*WHOLE))
    if found is None:
        raise ProductNotFound
    return found


async def lock_product(tx: AsyncSession, product_id: UUID) -> Product:
    """A whole product to change; raises ProductNotFound, also for a retired one."""
    found = await lock_products(tx, [product_id])
    if not found or found[0].deleted_at is not None:
        raise ProductNotFound
    return found[0]


async def lock_products(tx: AsyncSession, product_ids: Iterable[UUID]) -> Sequence[Product]:
    """Whole products to change, locked in one order whoever asks."""
    locked = (
        select(Product.id)
        .where(Product.id.in_(set(product_ids)))
        .order_by(Product.id)
        .with_for_update(key_share=True)
    )
    ids = (await tx.scalars(locked)).all()
    if not ids:
        return []
    # Read after the locks are held, so that nothing of it can be older than they are.
    whole = select(Product).where(Product.id.in_(ids)).order_by(Product.id).options(*WHOLE)
    return (await tx.scalars(whole)).all()


async def list_after(tx: AsyncSession, after: UUID | None, limit: int) -> Sequence[Product]:
    """Whole products in the order of their ids, retired ones too."""
    query = select(Product).order_by(Product.id).limit(limit).options(*WHOLE)
    if after is not None:
        query = query.where(Product.id > after)
    return (await tx.scalars(query)).all()


def _below(category_id: UUID) -> Select[UUID]:
    """The ids of the products, not retired, of a category and all below it."""
    return (
        select(Product.id)
        .join(Category, Category.id == Product.category_id)
        .where(Category.path.contains([category_id]), Product.deleted_at.is_(None))
    )


async def count_below(tx: AsyncSession, category_id: UUID) -> int:
    """How many products there are of a category and all below it."""
    counted = select(func.count()).select_from(_below(category_id).subquery())
    return int(await tx.scalar(counted) or 0)


async def list_ids_below(
    tx: AsyncSession, category_id: UUID, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """The products of a category and all below it, in the order of their ids."""
    query = _below(category_id).order_by(Product.id).limit(limit)
    if after is not None:
        query = query.where(Product.id > after)
    return (await tx.scalars(query)).all()


async def list_repriced_ids(
    database: Database, now: datetime, without: Collection[UUID], limit: int
) -> Sequence[UUID]:
    """Products whose discount window opened or closed meanwhile, the longest ago first."""
    query = (
        select(Product.id)
        .where(Product.price_changes_at <= now, Product.id.not_in(without))
        .order_by(Product.price_changes_at)
        .limit(limit)
    )
    return (await database.execute_once(query)).scalars().all()


async def list_products(
    tx: AsyncSession,
    limit: int,
    before: UUID | None,
    *,
    status: str | None = None,
    category_id: UUID | None = None,
    seller_id: UUID | None = None,
    sku: str | None = None,
    name: str | None = None,
) -> Sequence[Product]:
    """Whole products, newest first; retired ones only when asked for by `status='deleted'`."""
    query: Select[Product] = select(Product).options(*WHOLE)
    if status == "deleted":
        query = query.where(Product.deleted_at.is_not(None))
    else:
        query = query.where(Product.deleted_at.is_(None))
        query = query.where(Product.status == status) if status else query
    if category_id is not None:
        below = select(Category.id).where(Category.path.contains([category_id]))
        query = query.where(Product.category_id.in_(below))
    if seller_id is not None:
        query = query.where(Product.seller_id == seller_id)
    if sku is not None:
        query = query.where(Product.variants.any(sku=sku))
    if name is not None:
        query = query.where(func.lower(Product.name).contains(name.lower(), autoescape=True))
    if before is not None:
        query = query.where(Product.id < before)
    return (await tx.scalars(query.order_by(Product.id.desc()).limit(limit))).all()
