"""The stock of variants over all warehouses, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.db import Tx
from chassis.pages import Page, Paged
from chassis.wire import Sku
from inventory.api.access import Reader
from inventory.api.views import StockView
from inventory.domain.stock import Availability
from inventory.store import stock_views

router = APIRouter(prefix="/v1/admin/stock")


@router.get("")
async def list_stock(
    *,
    caller: Reader,
    paging: Paged,
    tx: Tx,
    availability: Annotated[
        Availability | None, Query(description="low_stock and out_of_stock need refilling")
    ] = None,
    sku: Sku | None = None,
    product_id: UUID | None = None,
    warehouse_id: Annotated[UUID | None, Query(description="only variants kept there")] = None,
) -> Page[StockView]:
    """List variants with their stock, by SKU."""
    rows = await stock_views.list_levels(
        tx,
        availability=availability,
        sku=sku,
        product_id=product_id,
        warehouse_id=warehouse_id,
        after=paging.position(str, UUID),
        limit=paging.limit + 1,
    )
    items = await stock_views.list_items(tx, [row.variant_id for row in rows])
    return paging.page(
        rows,
        lambda level: StockView.of(level, items.get(level.variant_id, [])),
        lambda level: (level.sku, level.variant_id),
    )


@router.get("/{variant_id}")
async def get_stock(variant_id: UUID, caller: Reader, tx: Tx) -> StockView:
    """Read the stock of one variant."""
    level = await stock_views.get_level(tx, variant_id)
    items = await stock_views.list_items(tx, [variant_id])
    return StockView.of(level, items.get(variant_id, []))
