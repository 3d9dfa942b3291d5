"""Products as customers browse them: lists with filters, search and facets, and single pages."""

import hashlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from catalog.api.reading import MAY_BE_KNOWN, IfNoneMatch, Reads, unless_known
from catalog.domain.refusals import ProductNotFound
from catalog.showcase import Availability, ProductCard, ProductPage
from catalog.store import browsing as store
from catalog.store.browsing import MOST_OPTION_NAMES, SortName
from chassis.errors import Invalid, Malformed
from chassis.pages import Page, Paged, encode
from chassis.wire import Amount, SafeText, View
from contracts.money import Currency

router = APIRouter(prefix="/v1/products")

OptionFilter = Annotated[
    SafeText, Field(min_length=3, max_length=160, pattern=r"^[^:]+:.+$", examples=["size:XL"])
]


class Facet(View):
    """A value and how many products of the list have it."""

    value: str
    count: int


class PriceRange(View):
    """The least and the greatest price in the list, in minor units of one currency."""

    currency: str
    min_amount: int
    max_amount: int


class Facets(View):
    """What the list could be narrowed by; `category` and `seller` hold ids, `option` `size:xl`."""

    category: list[Facet]
    availability: list[Facet]
    option: list[Facet]
    seller: list[Facet]
    price: list[PriceRange]


class ProductList(Page[ProductCard]):
    """A page of products; `facets` when they were asked for."""

    facets: Facets | None = None


async def _filters(
    *,
    q: Annotated[
        SafeText | None, Query(max_length=200, description="words to search for; typos forgiven")
    ] = None,
    category: Annotated[
        str | None, Query(max_length=160, description="id or slug; everything below it counts")
    ] = None,
    seller_id: UUID | None = None,
    currency: Currency | None = None,
    price_from: Annotated[Amount | None, Query(description="minor units")] = None,
    price_to: Annotated[Amount | None, Query(description="minor units")] = None,
    availability: Annotated[list[Availability] | None, Query()] = None,
    option: Annotated[
        list[OptionFilter] | None,
        Query(max_length=50, description="`size:XL`; one name twice means either"),
    ] = None,
) -> dict[str, Any]:
    """What was asked for, under the names of the store's filters."""
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
        raise Invalid("A category is named by its id or slug.")
    return {"category_slug": category}


def _option_filters(options: list[str]) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for option in options:
        by_name.setdefault(option.partition(":")[0].lower(), []).append(option.lower())
    if len(by_name) > MOST_OPTION_NAMES:
        raise Invalid(f"At most {MOST_OPTION_NAMES} different options narrow a list.")
    return {f"options_{place}": wanted for place, wanted in enumerate(by_name.values(), start=1)}


Filters = Annotated[dict[str, Any], Depends(_filters)]


def as_id(value: str) -> UUID | None:
    """The id a text spells, or None."""
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


@router.get("", response_model=ProductList, responses=MAY_BE_KNOWN)
async def list_products(
    *,
    request: Request,
    reads: Reads,
    filters: Filters,
    paging: Paged,
    sort: Annotated[SortName | None, Query(description="`-price`: dearest first")] = None,
    known: IfNoneMatch = None,
    facets: Annotated[bool, Query(description="count what the list could be narrowed by")] = False,
) -> Response:
    """Products on sale, filtered, searched and sorted; a page at a time."""
    order: SortName = sort or ("relevance" if "q" in filters else "newest")
    if order == "relevance" and "q" not in filters:
        raise Malformed("Only a search can be sorted by relevance.", code="bad_sort")
    after = paging.position(SORT_KEYS[order], UUID)
    rows = await store.list_cards(reads, filters, order, paging.limit + 1, after)
    shown = rows[: paging.limit]
    following = "null"
    if len(rows) > len(shown):
        following = f'"{encode(shown[-1].key, shown[-1].product_id)}"'
    counted = "null"
    if facets:
        limit: int = request.app.state.settings.facet_values
        counted = _facets(await store.count_facets(reads, filters), limit).model_dump_json()
    # The cards are JSON already: parsing them only to write them again would double the cost.
    cards = ",".join(row.card for row in shown)
    body = f'{{"items":[{cards}],"next_cursor":{following},"facets":{counted}}}'
    versions = "".join(row.etag for row in shown) + following + counted
    etag = hashlib.blake2b(versions.encode(), digest_size=12).hexdigest()
    return unless_known(body, etag, known)


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


@router.get("/{id_or_slug}", response_model=ProductPage, responses=MAY_BE_KNOWN)
async def get_product(id_or_slug: str, reads: Reads, known: IfNoneMatch = None) -> Response:
    """One product on sale by id or slug, with its variants and images."""
    if "\0" in id_or_slug:
        raise ProductNotFound
    found = await store.find_page(reads, as_id(id_or_slug) or id_or_slug)
    if found is None:
        raise ProductNotFound
    return unless_known(found.page, found.etag, known)
