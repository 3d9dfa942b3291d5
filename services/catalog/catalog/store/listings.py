"""Keeping the rows customers browse in step with the products, inside the change's transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ARRAY, CHAR, BigInteger, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain import Product
from catalog.showcase import Surroundings, is_on_sale, listing_of
from catalog.store import categories, prices, stock

WRITTEN = (
    "slug", "category_path", "seller_id", "name", "price_amount", "currency", "availability",
    "options", "words", "card", "page", "etag",
)  # fmt: skip
SEARCH = (
    "setweight(to_tsvector('english', :name), 'A') || "
    "setweight(to_tsvector('english', :words), 'B') || "
    "setweight(to_tsvector('english', :description), 'C')"
)
KEEP = text(
    f"insert into listings (product_id, search, {', '.join(WRITTEN)}) "  # noqa: S608
    f"values (:product_id, {SEARCH}, {', '.join(f':{column}' for column in WRITTEN)}) "
    "on conflict (product_id) do update set search = excluded.search, updated_at = now(), "
    f"{', '.join(f'{column} = excluded.{column}' for column in WRITTEN)}"
).bindparams(
    bindparam("product_id", type_=Uuid),
    bindparam("category_path", type_=ARRAY(Uuid)),
    bindparam("seller_id", type_=Uuid),
    bindparam("options", type_=ARRAY(Text)),
    bindparam("price_amount", type_=BigInteger),
    bindparam("currency", type_=CHAR(3)),
    bindparam("name", type_=Text),
    bindparam("words", type_=Text),
    bindparam("description", type_=Text),
)
DROP = text("delete from listings where product_id = any(cast(:product_ids as uuid[]))")


async def keep(tx: AsyncSession, products: Sequence[Product], now: datetime) -> None:
    """Make what customers see agree with these products, which are locked and whole."""
    path_ids = [each for product in products if product.category for each in product.category.path]
    around = Surroundings(
        stock=await stock.availabilities(tx, [product.id for product in products]),
        lowest=await prices.lowest_before_discounts(tx, products, now),
        categories={each.id: each for each in await categories.list_by_ids(tx, path_ids)},
    )
    shown = [product for product in products if is_on_sale(product, around)]
    hidden = [product.id for product in products if product not in shown]
    if hidden:
        await tx.execute(DROP, {"product_ids": hidden})
    if shown:
        await tx.execute(KEEP, [listing_of(product, around, now) for product in shown])
