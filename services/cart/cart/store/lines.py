"""Queries on the lines of carts, read together with what is offered now."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.basket import Line
from cart.domain.cart import CartItem
from cart.domain.product import (
    Offer,
    ProductSnapshot,
    StockSnapshot,
    VariantSnapshot,
    effective_price,
)

items = cast("Table", CartItem.__table__)
variants = cast("Table", VariantSnapshot.__table__)
products = cast("Table", ProductSnapshot.__table__)
stock = cast("Table", StockSnapshot.__table__)


def line_columns(rows: FromClause, variant_id: ColumnElement[UUID]) -> list[ColumnElement[Any]]:
    """List the columns `line_of` and `offer_of` read; `rows` are cart items."""
    return [
        rows.c.id.label("item_id"),
        variant_id.label("variant_id"),
        rows.c.quantity,
        rows.c.unit_price_amount,
        rows.c.customization,
        rows.c.customization_key,
        rows.c.added_at,
        rows.c.product_id.label("item_product_id"),
        rows.c.sku.label("item_sku"),
        rows.c.product_name.label("item_product_name"),
        rows.c.variant_description.label("item_description"),
        variants.c.product_id,
        variants.c.sku,
        variants.c.description,
        variants.c.price_amount,
        variants.c.discount_price_amount,
        variants.c.discount_from,
        variants.c.discount_until,
        variants.c.is_available,
        variants.c.lead_time_days,
        products.c.name.label("product_name"),
        products.c.status.label("product_status"),
        products.c.category_ids,
        products.c.seller_id,
        products.c.currency.label("offer_currency"),
        products.c.customization_fields,
        stock.c.available,
    ]


def with_offers(rows: FromClause, variant_id: ColumnElement[UUID]) -> FromClause:
    """Join rows to what is offered now under their variant, if anything is."""
    return (
        rows.outerjoin(variants, variants.c.variant_id == variant_id)
        .outerjoin(products, products.c.product_id == variants.c.product_id)
        .outerjoin(stock, stock.c.variant_id == variant_id)
    )


_mine = select(items).where(items.c.cart_id == bindparam("cart_id", type_=Uuid())).subquery("mine")
_wanted = select(
    func.unnest(bindparam("wanted", type_=ARRAY(Uuid()))).label("variant_id")
).subquery("wanted")
_variant = func.coalesce(_mine.c.variant_id, _wanted.c.variant_id)
LINES_AND_OFFERS = select(*line_columns(_mine, _variant)).select_from(
    with_offers(
        _mine.outerjoin(_wanted, _mine.c.variant_id == _wanted.c.variant_id, full=True), _variant
    )
)
PUT_LINES = text(
    "insert into cart_items as kept (id, cart_id, variant_id, product_id, sku, product_name, "
    "variant_description, unit_price_amount, quantity, customization, customization_key, added_at) "
    "select id, :cart_id, variant_id, product_id, sku, product_name, variant_description, "
    "unit_price_amount, quantity, cast(customization as jsonb), customization_key, added_at "
    "from unnest(cast(:ids as uuid[]), cast(:variant_ids as uuid[]), cast(:product_ids as uuid[]), "
    "cast(:skus as text[]), cast(:names as text[]), cast(:descriptions as text[]), "
    "cast(:prices as bigint[]), cast(:quantities as smallint[]), cast(:customizations as text[]), "
    "cast(:keys as text[]), cast(:added as timestamptz[])) as r(id, variant_id, "
    "product_id, sku, product_name, variant_description, unit_price_amount, quantity, "
    "customization, customization_key, added_at) "
    "on conflict (cart_id, variant_id, customization_key) do update "
    "set quantity = excluded.quantity, unit_price_amount = excluded.unit_price_amount, "
    "product_name = excluded.product_name, variant_description = excluded.variant_description, "
    "updated_at = now()"
)
DROP_LINE = delete(items).where(items.c.id == bindparam("item_id"))
MOVE_LINES = text(
    "with moved as (delete from cart_items where cart_id = :source returning *) "
    "insert into cart_items as kept (id, cart_id, variant_id, product_id, sku, product_name, "
    "variant_description, unit_price_amount, quantity, customization, customization_key, added_at) "
    "select id, :target, variant_id, product_id, sku, product_name, variant_description, "
    "unit_price_amount, quantity, customization, customization_key, added_at from moved "
    "on conflict (cart_id, variant_id, customization_key) do update "
    "set quantity = least(99, kept.quantity + excluded.quantity), updated_at = now()"
)


def offer_of(row: Row[Any], now: datetime) -> Offer | None:
    """Read what is sold under a row's variant; None when catalog never told of it."""
    if row.product_id is None:
        return None
    return Offer(
        variant_id=row.variant_id,
        product_id=row.product_id,
        seller_id=row.seller_id,
        sku=row.sku,
        product_name=row.product_name,
        variant_description=row.description,
        category_ids=tuple(row.category_ids),
        currency=row.offer_currency,
        unit_price_amount=effective_price(
            row.price_amount,
            row.discount_price_amount,
            row.discount_from,
            row.discount_until,
            now,
        ),
        is_available=row.is_available and row.product_status == "active",
        available=row.available or 0,
        lead_time_days=row.lead_time_days,
        customization_fields=row.customization_fields,
    )


def line_of(row: Row[Any], now: datetime) -> Line:
    """Read a line beside what is offered now."""
    return Line(
        id=row.item_id,
        variant_id=row.variant_id,
        product_id=row.item_product_id,
        sku=row.item_sku,
        product_name=row.item_product_name,
        variant_description=row.item_description,
        seen_price_amount=row.unit_price_amount,
        quantity=row.quantity,
        customization=row.customization,
        customization_key=row.customization_key,
        added_at=row.added_at,
        offer=offer_of(row, now),
    )


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Sort lines as they were added."""
    return sorted(lines, key=lambda line: (line.added_at, line.id))


async def list_lines(
    tx: AsyncSession, cart_id: UUID, now: datetime, wanted: Sequence[UUID] = ()
) -> tuple[list[Line], dict[UUID, Offer]]:
    """List the lines of a cart, and the offers of these and of the wanted variants."""
    found = await tx.execute(LINES_AND_OFFERS, {"cart_id": cart_id, "wanted": sorted(set(wanted))})
    lines: list[Line] = []
    offers: dict[UUID, Offer] = {}
    for row in found:
        offer = offer_of(row, now)
        if offer is not None:
            offers[row.variant_id] = offer
        if row.item_id is not None:
            lines.append(line_of(row, now))
    return in_order(lines), offers


async def put_lines(tx: AsyncSession, cart_id: UUID, lines: Sequence[Line]) -> None:
    """Write new and changed lines; the cart's row must be held."""
    await tx.execute(
        PUT_LINES,
        {
            "cart_id": cart_id,
            "ids": [line.id for line in lines],
            "variant_ids": [line.variant_id for line in lines],
            "product_ids": [line.product_id for line in lines],
            "skus": [line.sku for line in lines],
            "names": [line.product_name for line in lines],
            "descriptions": [line.variant_description for line in lines],
            "prices": [line.seen_price_amount for line in lines],
            "quantities": [line.quantity for line in lines],
            "customizations": [
                json.dumps(line.customization) if line.customization else None for line in lines
            ],
            "keys": [line.customization_key for line in lines],
            "added": [line.added_at for line in lines],
        },
    )


async def drop_line(tx: AsyncSession, item_id: UUID) -> None:
    """Take a line out; the cart's row must be held."""
    await tx.execute(DROP_LINE, {"item_id": item_id})


async def move_lines(tx: AsyncSession, source: UUID, target: UUID) -> None:
    """Empty one cart into another; equal lines are summed, at most 99. Both rows must be held."""
    await tx.execute(MOVE_LINES, {"source": source, "target": target})
