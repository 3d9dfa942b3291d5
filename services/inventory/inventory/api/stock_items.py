"""The stock of one variant in one warehouse over HTTP: counted, adjusted, or counted in bulk."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Response
from pydantic import Field, model_validator

from chassis import etag, outbox
from chassis.db import Tx
from chassis.errors import Changed
from chassis.idempotency import Claim, idempotent
from chassis.ops import audit
from chassis.wire import Body, Id, Note, Pieces, Sku
from inventory.api.access import Reader, Writer, principal
from inventory.api.views import MovementView, StockItemsView, StockItemView
from inventory.domain.model import MOST_PIECES
from inventory.domain.shelves import Because, Shelf, Stock
from inventory.domain.stock import (
    ReferenceType,
    SellerMismatch,
    SkuMismatch,
    VariantUnknown,
)
from inventory.domain.warehouse import Warehouse
from inventory.store import stock, stock_views, warehouses

router = APIRouter(prefix="/v1/admin/stock")

Reason = Annotated[Note, Field(min_length=1)]
MOST_ROWS = 500


class CountBody(Body):
    """What was counted; `sku` guards against counting another variant than meant."""

    on_hand: Pieces
    low_stock_threshold: Pieces | None = None
    sku: Sku | None = None
    reason: Reason


class CountRow(Body):
    """What was counted of one variant in one warehouse."""

    variant_id: Id
    warehouse_id: Id
    on_hand: Pieces
    low_stock_threshold: Pieces | None = None
    sku: Sku | None = None


class CountsBody(Body):
    """Up to 500 counts, taken over together or not at all."""

    items: Annotated[list[CountRow], Field(min_length=1, max_length=MOST_ROWS)]
    reason: Reason

    @model_validator(mode="after")
    def _each_once(self) -> "CountsBody":
        if len({(row.variant_id, row.warehouse_id) for row in self.items}) < len(self.items):
            raise ValueError("a variant stands twice for one warehouse")
        return self


class AdjustmentBody(Body):
    """Pieces to add (or, negative, to take away), why, and what it belongs to."""

    adjustment: Annotated[int, Field(ge=-MOST_PIECES, le=MOST_PIECES)]
    reason: Reason
    reference_type: ReferenceType = "manual"
    reference_id: Id | None = None

    @model_validator(mode="after")
    def _moves_something(self) -> "AdjustmentBody":
        if self.adjustment == 0:
            raise ValueError("an adjustment of nothing")
        if self.reference_type == "order":
            raise ValueError("only orders themselves move stock for orders")
        return self


@router.post("/bulk")
async def count_many(
    *, body: CountsBody, caller: Writer, claim: Annotated[Claim, idempotent(principal)], tx: Tx
) -> StockItemsView:
    """Set what is on hand of many variants at once, whatever was counted before."""
    places = await warehouses.keep_warehouses(tx, {row.warehouse_id for row in body.items})
    locked = await stock.lock_stock(tx, {row.variant_id for row in body.items})
    unknown = sorted({row.variant_id for row in body.items} - set(locked.levels))
    if unknown:
        raise VariantUnknown(variant_ids=[str(each) for each in unknown[:100]])
    because = Because(body.reason, "manual", user_id=caller.id)
    for row in body.items:
        shelf = _shelf(locked, row.variant_id, places[row.warehouse_id])
        _count(locked, shelf, row, because)
    await _save(tx, locked)
    audit.name_created(tx, *dict.fromkeys(row.variant_id for row in body.items))
    items = await stock_views.list_items(tx, {row.variant_id for row in body.items})
    asked = {(row.variant_id, row.warehouse_id) for row in body.items}
    view = StockItemsView(
        items=[
            StockItemView.of(kept, locked.levels[kept.item.variant_id].sku)
            for each in items.values()
            for kept in each
            if (kept.item.variant_id, kept.item.warehouse_id) in asked
        ]
    )
    return await claim.store(tx, 200, view)  # type: ignore[return-value]


@router.get("/{variant_id}/{warehouse_id}")
async def get_stock_item(
    *, variant_id: UUID, warehouse_id: UUID, caller: Reader, tx: Tx, response: Response
) -> StockItemView:
    """Read the stock of a variant in one warehouse."""
    level = await stock_views.get_level(tx, variant_id)
    kept = await stock_views.get_item(tx, variant_id, warehouse_id)
    etag.set_header(response, kept.item.version)
    return StockItemView.of(kept, level.sku)


@router.put(
    "/{variant_id}/{warehouse_id}",
    responses={201: {"model": StockItemView, "description": "Kept here from now on"}},
)
async def count_stock(
    *,
    variant_id: UUID,
    warehouse_id: UUID,
    body: CountBody,
    caller: Writer,
    tx: Tx,
    response: Response,
    if_match: Annotated[str | None, Header(alias="If-Match")] = None,
) -> StockItemView:
    """Set what is on hand; If-Match is needed once the variant is kept in the warehouse."""
    places = await warehouses.keep_warehouses(tx, {warehouse_id})
    locked = await stock.lock_stock(tx, {variant_id})
    level = locked.level(variant_id)
    shelf = locked.find_shelf(variant_id, warehouse_id)
    if shelf is not None:
        etag.check(shelf.version, await etag.expected_version(if_match))
    elif if_match is not None:
        raise Changed
    else:
        shelf = _shelf(locked, variant_id, places[warehouse_id])
        response.status_code = 201
    _count(locked, shelf, body, Because(body.reason, "manual", user_id=caller.id))
    await _save(tx, locked)
    kept = await stock_views.get_item(tx, variant_id, warehouse_id)
    etag.set_header(response, kept.item.version)
    return StockItemView.of(kept, level.sku)


@router.post("/{variant_id}/{warehouse_id}/adjustments", status_code=201)
async def adjust_stock(
    *,
    variant_id: UUID,
    warehouse_id: UUID,
    body: AdjustmentBody,
    caller: Writer,
    claim: Annotated[Claim, idempotent(principal)],
    tx: Tx,
) -> MovementView:
    """Add pieces to what is on hand, or take some away."""
    locked = await stock.lock_stock(tx, {variant_id})
    locked.level(variant_id)
    shelf = locked.shelf(variant_id, warehouse_id)
    because = Because(body.reason, body.reference_type, body.reference_id, caller.id)
    locked.adjust(shelf, body.adjustment, because)
    await _save(tx, locked)
    movement = await stock_views.get_movement(tx, locked.movements[-1].id)
    return await claim.store(tx, 201, MovementView.model_validate(movement))  # type: ignore[return-value]


def _shelf(locked: Stock, variant_id: UUID, warehouse: Warehouse) -> Shelf:
    """Find the variant's shelf in the warehouse, or put one up."""
    found = locked.find_shelf(variant_id, warehouse.id)
    if found is not None:
        return found
    if warehouse.seller_id not in (None, locked.level(variant_id).seller_id):
        raise SellerMismatch
    return locked.put_up(variant_id, warehouse.id, is_active=warehouse.is_active)


def _count(locked: Stock, shelf: Shelf, counted: CountBody | CountRow, because: Because) -> None:
    if counted.sku not in (None, locked.level(shelf.variant_id).sku):
        raise SkuMismatch
    locked.count(shelf, counted.on_hand, because)
    if counted.low_stock_threshold is not None:
        locked.warn_at(shelf, counted.low_stock_threshold)


async def _save(tx: Tx, locked: Stock) -> None:
    for events in (await stock.save_stock(tx, locked)).values():
        outbox.add(tx, *events)
