"""Queries on the copies of products and stock; each applies what is newer and ignores the rest."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.pricing import stock_snapshots, variant_snapshots
from chassis import driver
from chassis.driver import Sql
from chassis.rows import RowArrays
from contracts.catalog import ProductState
from contracts.inventory import StockState

NOW = "updated_at = now()"
STOCK = RowArrays(stock_snapshots, ("variant_id", "sequence", "available"))
VARIANTS = RowArrays(
    variant_snapshots,
    [each.name for each in variant_snapshots.c if each.name not in ("created_at", "updated_at")],
)
UPSERT_STOCK = Sql(STOCK.upsert_rows("variant_id", also=NOW, newer_by="sequence"))
UPSERT_VARIANTS = Sql(VARIANTS.upsert_rows("variant_id", also=NOW))
# A record set instead of arrays: `unnest` would flatten the categories.
UPSERT_PRODUCTS = Sql(
    "insert into product_snapshots as own (product_id, sequence, name, status, category_ids, "
    "seller_id, currency, customization_fields) "
    "select * from jsonb_to_recordset(cast(:rows as jsonb)) as r(product_id uuid, "
    "sequence bigint, name text, status text, category_ids uuid[], seller_id uuid, currency text, "
    "customization_fields jsonb) "
    "on conflict (product_id) do update set sequence = excluded.sequence, name = excluded.name, "
    "status = excluded.status, category_ids = excluded.category_ids, "
    "seller_id = excluded.seller_id, currency = excluded.currency, "
    "customization_fields = excluded.customization_fields, updated_at = now() "
    "where own.sequence < excluded.sequence returning product_id"
)
RETIRE_VARIANTS = Sql(
    "update variant_snapshots set is_available = false, updated_at = now() "
    "where product_id = any(cast(:products as uuid[])) "
    "and not variant_id = any(cast(:listed as uuid[])) and is_available"
)


async def has_no_product(tx: AsyncSession) -> bool:
    """Whether the copy of the catalogue is empty."""
    return (await tx.execute(text("select 1 from product_snapshots limit 1"))).first() is None


async def has_no_stock(tx: AsyncSession) -> bool:
    """Whether the copy of the stock is empty."""
    return (await tx.execute(text("select 1 from stock_snapshots limit 1"))).first() is None


async def upsert_stock(tx: AsyncSession, events: Sequence[StockState]) -> None:
    """Store the newest availability of each variant; rows are locked in one order."""
    newest = {event.variant_id: event for event in sorted(events, key=lambda e: e.sequence)}
    rows = [newest[variant] for variant in sorted(newest)]
    await driver.execute(tx, UPSERT_STOCK, STOCK.parameters(rows))


async def upsert_products(tx: AsyncSession, events: Sequence[ProductState]) -> None:
    """Store the newest state of each product with its variants; rows are locked in one order."""
    newest = {event.product_id: event for event in sorted(events, key=lambda e: e.sequence)}
    rows = [_product(newest[product]) for product in sorted(newest)]
    found = await driver.fetch(tx, UPSERT_PRODUCTS, {"rows": json.dumps(rows)})
    applied = [row.product_id for row in found]
    if not applied:
        return
    variants = [row for product in applied for row in _variants(newest[product])]
    variants.sort(key=lambda row: str(row["variant_id"]))
    listed = [row["variant_id"] for row in variants]
    await driver.execute(tx, RETIRE_VARIANTS, {"products": applied, "listed": listed})
    await driver.execute(tx, UPSERT_VARIANTS, VARIANTS.parameters(variants))


def _product(event: ProductState) -> dict[str, Any]:
    """The row of a product; its own category comes first, then those above it."""
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
    return [
        {
            "product_id": event.product_id,
            **variant.model_dump(exclude={"price"}),
            **variant.price.model_dump(),
        }
        for variant in event.variants
    ]
