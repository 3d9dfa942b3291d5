"""Products and categories as customers browse them: filters, search, facets and single pages."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import Field, TypeAdapter

from catalog.domain.category import Category, CategoryNotFound
from catalog.domain.listings import Availability, ProductCard, ProductPage
from catalog.domain.product import ProductNotFound
from catalog.store import categories, listings
from catalog.store.listings import MAX_OPTION_NAMES, SortName
from chassis.db import Database, Tx
from chassis.errors import Invalid, Malformed, refuses
from chassis.pages import Page, Paged, encode
from chassis.wire import Amount, SafeText, View
from contracts.money import Currency

products_router = APIRouter(prefix="/v1/products")
categories_router = APIRouter(prefix="/v1/categories")

# A shared cache may store a response, but must revalidate it before each use.
CACHED = "public, no-cache"


class BadSort(Malformed):
    """Only a search can be sorted by relevance."""

    code = "bad_sort"


async def _reads(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


Reads = Annotated[Database, Depends(_reads)]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="The ETag you have; 304 while it is current",
    ),
]

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing has changed since the ETag you have"}
}


def respond_cached(body: str | bytes, etag: str, known: str | None) -> Response:
    """The JSON, or 304 where the client has it already."""
    headers = {"ETag": f'W/"{etag}"', "Cache-Control": CACHED}
    if known is not None and (known.strip() == "*" or f'"{etag}"' in known):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


class CategoryNode(View):
    """A category with those below it."""

    id: UUID
    parent_id: UUID | None
    name: str
    slug: str
    description: str
    depth: int
    children: "list[CategoryNode]"


class CategoryTree(View):
    """The categories at the top, each with those below it."""

    items: list[CategoryNode]


TREE = TypeAdapter(CategoryTree)


def tree_of(categories: Sequence[Category]) -> list[CategoryNode]:
    """The tree of the active categories, which are given by rising depth."""
    nodes: dict[UUID, CategoryNode] = {}
    top: list[CategoryNode] = []
    for category in categories:
        above = nodes.get(category.parent_id) if category.parent_id else None
        if not category.is_active or (category.parent_id and above is None):
            continue
        node = CategoryNode(
            id=category.id,
            parent_id=category.parent_id,
            name=category.name,
            slug=category.slug,
            description=category.description,
            depth=category.depth,
            children=[],
        )
        nodes[category.id] = node
        (above.children if above else top).append(node)
    return top


@categories_router.get("", response_model=CategoryTree, responses=NOT_MODIFIED)
async def list_categories(tx: Tx, known: IfNoneMatch = None) -> Response:
    """Return all active categories as a tree."""
    body = TREE.dump_json(CategoryTree(items=tree_of(await categories.list_categories(tx))))
    return respond_cached(body, hashlib.blake2b(body, digest_size=12).hexdigest(), known)


@categories_router.get("/{id_or_slug}")
@refuses(CategoryNotFound)
async def get_category(id_or_slug: str, tx: Tx) -> CategoryNode:
    """Return one category by id or slug, with those below it."""
    waiting = tree_of(await categories.list_categories(tx))
    while waiting:
        node = waiting.pop()
        if id_or_slug in (str(node.id), node.slug):
            return node
        waiting += node.children
    raise CategoryNotFound


OptionFilter = Annotated[
    SafeText, Field(min_length=3, max_length=160, pattern=r"^[^:]+:.+$", examples=["size:XL"])
]


class Facet(View):
    """A value and how many products of the list have it."""

    value: str
    count: int


class PriceRange(View):
    """The lowest and the highest price in the list, in minor units of one currency."""

    currency: str
    min_amount: int
    max_amount: int


class Facets(View):
    """Values to filter the list by; `category` and `seller` are ids, `option` is like `size:xl`."""

    category: list[Facet]
    availability: list[Facet]
    option: list[Facet]
    seller: list[Facet]
    price: list[PriceRange]


class ProductList(Page[ProductCard]):
    """A page of products; `facets` only on request."""

    facets: Facets | None = None


async def _filters(
    *,
    q: Annotated[
        SafeText | None, Query(max_length=200, description="words to search for; typos forgiven")
    ] = None,
    category: Annotated[
        str | None, Query(max_length=160, description="id or slug; includes everything below it")
    ] = None,
    seller_id: UUID | None = None,
    currency: Currency | None = None,
    price_from: Annotated[Amount | None, Query(description="minor units")] = None,
    price_to: Annotated[Amount | None, Query(description="minor units")] = None,
    availability: Annotated[list[Availability] | None, Query()] = None,
    option: Annotated[
        list[OptionFilter] | None,
        Query(max_length=50, description="`size:XL`; the same name twice matches either"),
    ] = None,
) -> dict[str, Any]:
    """The filters of the request, under the names that the store uses."""
    given: dict[str, Any] = {
        "q": q or None,
        "seller_id": seller_id,
        "currency": currency,
        "price_from": price_from,
        "price_to": price_to,
        "availability": availability or None,
        **_category_filter(category),
        **_option_filters(option or []),
    }
    return {name: value for name, value in given.items() if value is not None}


def _category_filter(category: str | None) -> dict[str, Any]:
    if category is None:
        return {}
    identifier = as_id(category)
    if identifier is not None:
        return {"category_id": identifier}
    if "\0" in category:
        raise Invalid("`category` takes an id or a slug.")
    return {"category_slug": category}


def _option_filters(options: list[str]) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for option in options:
        by_name.setdefault(option.partition(":")[0].lower(), []).append(option.lower())
    if len(by_name) > MAX_OPTION_NAMES:
        raise Invalid(f"At most {MAX_OPTION_NAMES} different options can filter a list.")
    return {f"options_{place}": wanted for place, wanted in enumerate(by_name.values(), start=1)}


Filters = Annotated[dict[str, Any], Depends(_filters)]


def as_id(value: str) -> UUID | None:
    """The id in a text, or None."""
    try:
        return UUID(value)
    except ValueError:
        return None


SORT_KEYS: dict[SortName, type[Any]] = {
    "relevance": int,
    "newest": UUID,
    "price": int,
    "-price": int,
    "name": str,
}


@products_router.get("", response_model=ProductList, responses=NOT_MODIFIED)
@refuses(BadSort)
async def list_products(
    *,
    request: Request,
    reads: Reads,
    filters: Filters,
    paging: Paged,
    sort: Annotated[SortName | None, Query(description="`-price`: highest first")] = None,
    known: IfNoneMatch = None,
    facets: Annotated[bool, Query(description="count the values to filter by")] = False,
) -> Response:
    """List products on sale: filtered, searched, sorted and in pages."""
    order: SortName = sort or ("relevance" if "q" in filters else "newest")
    if order == "relevance" and "q" not in filters:
        raise BadSort
    after = paging.position(SORT_KEYS[order], UUID)
    rows = await listings.list_cards(reads, filters, order, paging.limit + 1, after)
    shown = rows[: paging.limit]
    following = "null"
    if len(rows) > len(shown):
        following = f'"{encode(shown[-1].key, shown[-1].product_id)}"'
    counted = "null"
    if facets:
        limit: int = request.app.state.settings.facet_values
        counted = _facets(await listings.count_facets(reads, filters), limit).model_dump_json()
    # The cards are JSON already: to parse and serialise them again would double the cost.
    cards = ",".join(row.card for row in shown)
    body = f'{{"items":[{cards}],"next_cursor":{following},"facets":{counted}}}'
    versions = "".join(row.etag for row in shown) + following + counted
    etag = hashlib.blake2b(versions.encode(), digest_size=12).hexdigest()
    return respond_cached(body, etag, known)


def _facets(rows: list[Any], limit: int) -> Facets:
    found: dict[str, list[Facet]] = {}
    for row in rows:
        values = found.setdefault(row.facet, [])
        if len(values) < limit:
            values.append(Facet(value=row.value, count=row.count))
    highest = {each.value: each.count for each in found.get("price_max", [])}
    return Facets(
        category=found.get("category", []),
        availability=found.get("availability", []),
        option=found.get("option", []),
        seller=found.get("seller", []),
        price=[
            PriceRange(currency=each.value, min_amount=each.count, max_amount=highest[each.value])
            for each in found.get("price_min", [])
        ],
    )


@products_router.get("/{id_or_slug}", response_model=ProductPage, responses=NOT_MODIFIED)
@refuses(ProductNotFound)
async def get_product(id_or_slug: str, reads: Reads, known: IfNoneMatch = None) -> Response:
    """Return one product on sale by id or slug, with its variants and images."""
    if "\0" in id_or_slug:
        raise ProductNotFound
    found = await listings.find_page(reads, as_id(id_or_slug) or id_or_slug)
    if found is None:
        raise ProductNotFound
    return respond_cached(found.page, found.etag, known)
