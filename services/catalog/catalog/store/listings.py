"""Listings: the rows that customers browse, the stock they show, and the queries of browsing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain.category import Base
from catalog.domain.listings import (
    Availability,
    ListingContext,
    VariantStock,
    is_on_sale,
    listing_of,
)
from catalog.domain.product import Product
from catalog.store import categories
from catalog.store.products import lowest_before_discounts
from chassis import driver
from chassis.db import Database
from chassis.driver import Sql
from chassis.rows import RowArrays
from contracts.inventory import StockState

SortName = Literal["relevance", "newest", "price", "-price", "name"]
COLUMNS = (
    "slug", "category_path", "seller_id", "name", "price_amount", "currency", "availability",
    "options", "words", "card", "page", "etag",
)  # fmt: skip
SEARCH = (
    "setweight(to_tsvector('english', cast(:name as text)), 'A') || "
    "setweight(to_tsvector('english', cast(:words as text)), 'B') || "
    "setweight(to_tsvector('english', :description), 'C')"
)
UPSERT_LISTINGS = Sql(
    f"insert into listings (product_id, search, {', '.join(COLUMNS)}) "  # noqa: S608
    f"values (:product_id, {SEARCH}, {', '.join(f':{column}' for column in COLUMNS)}) "
    "on conflict (product_id) do update set search = excluded.search, updated_at = now(), "
    f"{', '.join(f'{column} = excluded.{column}' for column in COLUMNS)}"
)
DELETE_LISTINGS = Sql("delete from listings where product_id = any(cast(:product_ids as uuid[]))")
STOCK = RowArrays(
    Base.metadata.tables["variant_stock"],
    ("variant_id", "product_id", "sequence", "availability"),
)
LOCK_STOCK = Sql(
    "select variant_id, sequence, availability from variant_stock "
    "where variant_id = any(cast(:variant_ids as uuid[])) order by variant_id for update"
)
UPSERT_STOCK = Sql(STOCK.upsert_rows("variant_id", also="updated_at = now()", newer_by="sequence"))


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of the list: its key, its direction, and the type of the key in a cursor."""

    key: str
    is_descending: bool
    type: str


SORTS: dict[SortName, Sort] = {
    "relevance": Sort("hit.rank", is_descending=True, type="bigint"),
    "newest": Sort("listings.product_id", is_descending=True, type="uuid"),
    "price": Sort("listings.price_amount", is_descending=False, type="bigint"),
    "-price": Sort("listings.price_amount", is_descending=True, type="bigint"),
    "name": Sort("listings.name", is_descending=False, type="text"),
}

# Each filter is one condition, so that statements differ only in which conditions they have.
FILTERS: dict[str, str] = {
    "category_id": "category_path @> array[cast(:category_id as uuid)]",
    "category_slug": "category_path @> "
    "array[(select c.id from categories c where c.slug = :category_slug)]",
    "seller_id": "seller_id = cast(:seller_id as uuid)",
    "currency": "currency = :currency",
    "price_from": "price_amount >= cast(:price_from as bigint)",
    "price_to": "price_amount <= cast(:price_to as bigint)",
    "availability": "availability = any(cast(:availability as text[]))",
    # One list of alternatives for each option name: any of these, and all of those.
    "options_1": "options && cast(:options_1 as text[])",
    "options_2": "options && cast(:options_2 as text[])",
    "options_3": "options && cast(:options_3 as text[])",
    "options_4": "options && cast(:options_4 as text[])",
    "options_5": "options && cast(:options_5 as text[])",
}
MAX_OPTION_NAMES = 5

FACETS = """
with found as (select listings.* from {source})
select 'category' as facet, each::text as value, count(*) as count
from found, unnest(category_path) as each group by 2
union all select 'availability', availability, count(*) from found group by 2
union all select 'option', each, count(*) from found, unnest(options) as each group by 2
union all select 'seller', seller_id::text, count(*) from found
where seller_id is not null group by 2
union all select 'price_min', currency, min(price_amount) from found group by 2
union all select 'price_max', currency, max(price_amount) from found group by 2
order by 1, 3 desc, 2
"""

PAGE_BY_ID = Sql(
    "select product_id, page, etag from listings where product_id = any(cast(:keys as uuid[]))"
)
PAGE_BY_SLUG = Sql("select page, etag from listings where slug = :slug")


async def upsert_listings(tx: AsyncSession, products: Sequence[Product], now: datetime) -> None:
    """Write the listings of whole, locked products; those not on sale lose theirs."""
    path_ids = [each for product in products if product.category for each in product.category.path]
    context = ListingContext(
        stock=await availabilities(tx, [product.id for product in products]),
        lowest=await lowest_before_discounts(tx, products, now),
        categories={each.id: each for each in await categories.list_by_ids(tx, path_ids)},
    )
    on_sale = [product for product in products if is_on_sale(product, context)]
    off_sale = [product.id for product in products if product not in on_sale]
    if off_sale:
        await driver.execute(tx, DELETE_LISTINGS, {"product_ids": off_sale})
    if on_sale:
        rows = [listing_of(each, context, now) for each in on_sale]
        await driver.executemany(tx, UPSERT_LISTINGS, rows)


async def has_no_stock(tx: AsyncSession) -> bool:
    """Whether the copy of inventory's availabilities is empty."""
    return (await tx.execute(select(VariantStock.variant_id).limit(1))).first() is None


async def upsert_stock(tx: AsyncSession, events: Iterable[StockState]) -> set[UUID]:
    """Store the newest state of each variant; returns the products whose availability changed."""
    newest = {event.variant_id: event for event in sorted(events, key=lambda e: e.sequence)}
    ids = sorted(newest)
    stored = {
        row.variant_id: row for row in await driver.fetch(tx, LOCK_STOCK, {"variant_ids": ids})
    }
    newer = [
        newest[variant]
        for variant in ids
        if variant not in stored or stored[variant].sequence < newest[variant].sequence
    ]
    if newer:
        await driver.execute(tx, UPSERT_STOCK, STOCK.parameters(newer))
    return {
        event.product_id
        for event in newer
        if event.variant_id not in stored
        or stored[event.variant_id].availability != event.availability
    }


async def availabilities(tx: AsyncSession, product_ids: Sequence[UUID]) -> dict[UUID, Availability]:
    """The availability of each variant of these products that inventory has published."""
    query = select(VariantStock.variant_id, VariantStock.availability)
    found = await tx.execute(query.where(VariantStock.product_id.in_(product_ids)))
    return {row.variant_id: row.availability for row in found}


def _source(filters: frozenset[str]) -> str:
    """The FROM and WHERE of these filters."""
    conditions = " and ".join(FILTERS[name] for name in sorted(filters - {"q"})) or "true"
    hits = "search_listings(:q) hit join listings using (product_id)"
    return f"{hits if 'q' in filters else 'listings'} where {conditions}"


@lru_cache(maxsize=512)
def _page_statement(filters: frozenset[str], sort_name: SortName, *, is_continued: bool) -> Sql:
    sort = SORTS[sort_name]
    direction, beyond = ("desc", "<") if sort.is_descending else ("asc", ">")
    source = _source(filters)
    if is_continued:
        position = f"(cast(:after_key as {sort.type}), cast(:after_id as uuid))"
        source += f" and ({sort.key}, listings.product_id) {beyond} {position}"
    return Sql(
        f"select listings.product_id, listings.card, listings.etag, {sort.key} as key "  # noqa: S608
        f"from {source} order by {sort.key} {direction}, listings.product_id {direction} "
        "limit cast(:limit as integer)"
    )


@lru_cache(maxsize=512)
def _facets_statement(filters: frozenset[str]) -> Sql:
    return Sql(FACETS.format(source=_source(filters)))


async def list_cards(
    reads: Database,
    filters: Mapping[str, Any],
    sort: SortName,
    limit: int,
    after: tuple[Any, UUID] | None,
) -> list[Any]:
    """Cards with their ids, ETags and sort keys; `filters` holds only those in use."""
    statement = _page_statement(frozenset(filters), sort, is_continued=after is not None)
    values = {**filters, "limit": limit}
    if after is not None:
        values |= {"after_key": after[0], "after_id": after[1]}
    return await reads.fetch(statement, values)


async def count_facets(reads: Database, filters: Mapping[str, Any]) -> list[Any]:
    """How many products of the whole list have each value: rows of facet, value, count."""
    statement = _facets_statement(frozenset(filters))
    return await reads.fetch(statement, filters)


async def find_page(reads: Database, id_or_slug: UUID | str) -> Any:
    """The page and its ETag of a product on sale, by id or slug."""
    if isinstance(id_or_slug, UUID):
        return await reads.load_one(PAGE_BY_ID, id_or_slug)
    return await reads.fetchrow(PAGE_BY_SLUG, {"slug": id_or_slug})
