"""Queries on the copies of products and stock; each applies what is newer and ignores the rest."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.catalog import ProductState
from contracts.inventory import StockState

KEEP_STOCK = text(
    "insert into stock_snapshots (variant_id, sequence, available) "
    "select * from unnest(cast(:variants as uuid[]), cast(:sequences as bigint[]), "
    "cast(:available as bigint[])) "
    "on conflict (variant_id) do update set sequence = excluded.sequence, "
    "available = excluded.available, updated_at = now() "
    "where stock_snapshots.sequence < excluded.sequence"
)
KEEP_PRODUCTS = text(
    "insert into product_snapshots as kept (product_id, sequence, name, status, category_ids, "
    "seller_id, currency, customization_fields) "
    "select * from jsonb_to_recordset(cast(:rows as jsonb)) as r(product_id uuid, "
    "sequence bigint, name text, status text, category_ids uuid[], seller_id uuid, currency text, "
    "customization_fields jsonb) "
    "on conflict (product_id) do update set sequence = excluded.sequence, name = excluded.name, "
    "status = excluded.status, category_ids = excluded.category_ids, "
    "seller_id = excluded.seller_id, currency = excluded.currency, "
    "customization_fields = excluded.customization_fields, updated_at = now() "
    "where kept.sequence < excluded.sequence returning product_id"
)
RETIRE_VARIANTS = text(
    "update variant_snapshots set is_available = false, updated_at = now() "
    "where product_id = any(cast(:products as uuid[])) "
    "and not variant_id = any(cast(:listed as uuid[])) and is_available"
)
KEEP_VARIANTS = text(
    "insert into variant_snapshots (variant_id, product_id, sku, description, price_amount, "
    "discount_price_amount, discount_from, discount_until, is_available, lead_time_days) "
    "select * from jsonb_to_recordset(cast(:rows as jsonb)) as r(variant_id uuid, product_id uuid, "
    "sku text, description text, price_amount bigint, discount_price_amount bigint, "
    "discount_from timestamptz, discount_until timestamptz, is_available boolean, "
    "lead_time_days integer) "
    "on conflict (variant_id) do update set product_id = excluded.product_id, sku = excluded.sku, "
    "description = excluded.description, price_amount = excluded.price_amount, "
    "discount_price_amount = excluded.discount_price_amount, "
    "discount_from = excluded.discount_from, discount_until = excluded.discount_until, "
    "is_available = excluded.is_available, lead_time_days = excluded.lead_time_days, "
    "updated_at = now()"
)


async def knows_no_product(tx: AsyncSession) -> bool:
    """Whether the copy of the catalogue is empty."""
    return (await tx.execute(text("select 1 from product_snapshots limit 1"))).first() is None


async def knows_no_stock(tx: AsyncSession) -> bool:
    """Whether the copy of the stock is empty."""
    return (await tx.execute(text("select 1 from stock_snapshots limit 1"))).first() is None


async def keep_stock(tx: AsyncSession, events: Sequence[StockState]) -> None:
    """Remember the newest availability of each variant; rows are taken in one order."""
    newest = {event.variant_id: event for event in sorted(events, key=lambda e: e.sequence)}
    rows = [newest[variant] for variant in sorted(newest)]
    await tx.execute(
        KEEP_STOCK,
        {
            "variants": [row.variant_id for row in rows],
            "sequences": [row.sequence for row in rows],
            "available": [row.available for row in rows],
        },
    )


async def keep_products(tx: AsyncSession, events: Sequence[ProductState]) -> None:
    """Remember the newest state of each product with its variants."""
    newest = {event.product_id: event for event in sorted(events, key=lambda e: e.sequence)}
    rows = [_product(newest[product]) for product in sorted(newest)]
    found = await tx.execute(KEEP_PRODUCTS, {"rows": json.dumps(rows)})
    applied: list[UUID] = list(found.scalars())
    if not applied:
        return
    variants = [row for product in sorted(applied) for row in _variants(newest[product])]
    await tx.execute(
        RETIRE_VARIANTS,
        {"products": applied, "listed": [UUID(row["variant_id"]) for row in variants]},
    )
    variants.sort(key=lambda row: str(row["variant_id"]))
    await tx.execute(KEEP_VARIANTS, {"rows": json.dumps(variants)})


def _product(event: ProductState) -> dict[str, Any]:
    """Make the row of a product; its own category comes first, then those above it."""
    above = [
        category for category in reversed(event.category_path) if category != event.category_id
    ]
    return {
        **event.model_dump(
            mode="json",
            include={
                "product_id", "name", "status", "seller_id", "currency", "customization_fields",
            },
        ),
        "sequence": event.sequence,
        "category_ids": [str(category) for category in (event.category_id, *above)],
    }  # fmt: skip


def _variants(event: ProductState) -> list[dict[str, Any]]:
    rows = []
    for variant in event.variants:
        row = variant.model_dump(mode="json")
        row |= row.pop("price")
        row["product_id"] = str(event.product_id)
        rows.append(row)
    return rows
