"""Queries customers browse by: one statement for a page of a list, one for a product."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.engine import Row

from chassis.db import Database

SortName = Literal["relevance", "newest", "price", "-price", "name"]


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

# Each filter is a condition on its own, so that statements differ only in which of them they hold.
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
MOST_OPTION_NAMES = 5

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

BY_ID = text(
    "select product_id, page, etag from listings where product_id = any(cast(:keys as uuid[]))"
)
BY_SLUG = text("select page, etag from listings where slug = :slug")


def _source(filters: frozenset[str]) -> str:
    """The FROM and WHERE of these filters."""
    conditions = " and ".join(FILTERS[name] for name in sorted(filters - {"q"})) or "true"
    hits = "search_listings(:q) hit join listings using (product_id)"
    return f"{hits if 'q' in filters else 'listings'} where {conditions}"


@lru_cache(maxsize=512)
def _page_statement(filters: frozenset[str], sort_name: SortName, *, goes_on: bool) -> TextClause:
    sort = SORTS[sort_name]
    direction, beyond = ("desc", "<") if sort.is_descending else ("asc", ">")
    source = _source(filters)
    if goes_on:
        position = f"(cast(:after_key as {sort.type}), cast(:after_id as uuid))"
        source += f" and ({sort.key}, listings.product_id) {beyond} {position}"
    return text(
        f"select listings.product_id, listings.card, listings.etag, {sort.key} as key "  # noqa: S608
        f"from {source} order by {sort.key} {direction}, listings.product_id {direction} "
        "limit cast(:limit as integer)"
    )


@lru_cache(maxsize=512)
def _facets_statement(filters: frozenset[str]) -> TextClause:
    return text(FACETS.format(source=_source(filters)))


async def list_cards(
    reads: Database,
    filters: Mapping[str, Any],
    sort: SortName,
    limit: int,
    after: tuple[Any, UUID] | None,
) -> list[Row[Any]]:
    """Cards with their ids, ETags and sort keys; `filters` holds only what was asked for."""
    statement = _page_statement(frozenset(filters), sort, goes_on=after is not None)
    values = {**filters, "limit": limit}
    if after is not None:
        values |= {"after_key": after[0], "after_id": after[1]}
    return list((await reads.execute_once(statement, values)).all())


async def count_facets(reads: Database, filters: Mapping[str, Any]) -> list[Row[Any]]:
    """How many products of the whole list have each value: rows of facet, value, count."""
    statement = _facets_statement(frozenset(filters))
    return list((await reads.execute_once(statement, dict(filters))).all())


async def find_page(reads: Database, id_or_slug: UUID | str) -> Row[Any] | None:
    """The page and its ETag of a product on sale, by id or slug."""
    if isinstance(id_or_slug, UUID):
        return await reads.load_one(BY_ID, id_or_slug)
    return (await reads.execute_once(BY_SLUG, {"slug": id_or_slug})).one_or_none()
