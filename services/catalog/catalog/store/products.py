"""Queries on whole products, and on what their variants cost over time."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from catalog.domain.category import Base, Category, CategoryNameTaken, SlugTaken
from catalog.domain.product import DuplicateOptions, DuplicateSku, Product, ProductNotFound
from catalog.domain.variant import REFERENCE_PERIOD
from chassis import driver
from chassis.constraints import violations_as
from chassis.db import Database
from chassis.driver import Sql
from chassis.ids import new_id
from chassis.rows import RowArrays

WHOLE = (
    selectinload(Product.variants),
    selectinload(Product.images),
    selectinload(Product.category),
)

HISTORY: Final = Base.metadata.tables["price_history"]
NEW_PRICES = RowArrays(HISTORY, ("id", "variant_id", "amount", "currency", "valid_from"))
CLOSE_PRICES = Sql(
    "update price_history h set valid_until = greatest(h.valid_from, new.valid_from), "  # noqa: S608
    f"updated_at = now() from {NEW_PRICES.source()} "
    "where h.variant_id = new.variant_id and h.valid_until is null and h.amount <> new.amount"
)
OPEN_PRICES = Sql(
    f"{NEW_PRICES.insert()} where not exists (select from price_history h "
    "where h.variant_id = new.variant_id and h.valid_until is null)"
)
DISCOUNTS = RowArrays(HISTORY, ("variant_id", "valid_from"))
LOWEST_PRICES = Sql(
    "select h.variant_id, min(h.amount) as amount "  # noqa: S608
    f"from {DISCOUNTS.source()} join price_history h on h.variant_id = new.variant_id "
    "and h.valid_from < new.valid_from "
    "and (h.valid_until is null or h.valid_until > new.valid_from - cast(:back as interval)) "
    "group by h.variant_id"
)


async def get_product(tx: AsyncSession, product_id: UUID) -> Product:
    """A whole product, retired ones too; raises ProductNotFound."""
    found = await tx.scalar(select(Product).where(Product.id == product_id).options(*WHOLE))
    if found is None:
        raise ProductNotFound
    return found


async def lock_product(tx: AsyncSession, product_id: UUID) -> Product:
    """Lock a whole product to change; raises ProductNotFound, also for a retired one."""
    found = await lock_products(tx, [product_id])
    if not found or found[0].deleted_at is not None:
        raise ProductNotFound
    return found[0]


async def lock_products(tx: AsyncSession, product_ids: Iterable[UUID]) -> Sequence[Product]:
    """Lock whole products to change, always in the order of their ids."""
    locked = (
        select(Product.id)
        .where(Product.id.in_(set(product_ids)))
        .order_by(Product.id)
        .with_for_update(key_share=True)
    )
    ids = (await tx.scalars(locked)).all()
    if not ids:
        return []
    # Read after the rows are locked, so that it sees what the last holder committed.
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
    """How many products a category and all below it have."""
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


async def list_due_price_changes(
    database: Database, now: datetime, without: Collection[UUID], limit: int
) -> Sequence[UUID]:
    """Products whose discount window opened or closed, the longest ago first."""
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
    """Whole products, newest first; retired ones only with `status='deleted'`."""
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


async def flush(tx: AsyncSession) -> None:
    """Flush the session; raises the refusal for a violated constraint."""
    with violations_as(
        uq_categories_lower_name=CategoryNameTaken,
        uq_categories_slug=SlugTaken,
        uq_products_slug=SlugTaken,
        uq_variants_sku=DuplicateSku,
        uq_variants_product_id_options_key=DuplicateOptions,
    ):
        await tx.flush()


async def record_prices(tx: AsyncSession, products: Sequence[tuple[Product, datetime]]) -> None:
    """Record what each variant costs from a moment on, where that differs from before."""
    rows = [
        {
            "id": new_id(),
            "variant_id": variant.id,
            "amount": product.pricing(variant).amount(at),
            "currency": product.currency,
            "valid_from": at,
        }
        for product, at in products
        for variant in product.offered
    ]
    if rows:
        prices = NEW_PRICES.parameters(sorted(rows, key=lambda row: row["variant_id"]))
        await driver.execute(tx, CLOSE_PRICES, prices)
        await driver.execute(tx, OPEN_PRICES, prices)


async def lowest_before_discounts(
    tx: AsyncSession, products: Sequence[Product], now: datetime
) -> dict[UUID, int]:
    """The lowest amount of each discounted variant in the thirty days before its discount."""
    rows = [
        {"variant_id": variant.id, "valid_from": product.discount_from}
        for product in products
        for variant in product.offered
        if product.pricing(variant).is_discounted(now)
    ]
    if not rows:
        return {}
    values = {**DISCOUNTS.parameters(rows), "back": REFERENCE_PERIOD}
    found = await driver.fetch(tx, LOWEST_PRICES, values)
    return {row.variant_id: row.amount for row in found}
