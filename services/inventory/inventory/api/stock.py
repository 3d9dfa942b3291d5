"""The stock of variants, over all warehouses and in each: listed, counted and adjusted."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from pydantic import Field, model_validator
from sqlalchemy.engine import Row

from chassis import etag
from chassis.db import Tx
from chassis.errors import Changed, IfMatchMissing, refuses
from chassis.etag import BadIfMatch
from chassis.idempotency import Claim, idempotent
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, Id, Note, Pieces, Sku, View
from inventory import service
from inventory.api import Reader, Writer
from inventory.api.reservations import MovementView
from inventory.domain.reservation import LockedStock
from inventory.domain.stock import (
    MAX_PIECES,
    Availability,
    BelowReserved,
    MovementReason,
    ReferenceType,
    SellerMismatch,
    SkuMismatch,
    StockItem,
    StockItemUnknown,
    TooManyPieces,
    VariantUnknown,
)
from inventory.domain.warehouse import Warehouse, WarehouseUnknown
from inventory.store import stock, views, warehouses

router = APIRouter(prefix="/v1/admin/stock")

Reason = Annotated[Note, Field(min_length=1)]
MAX_ROWS = 500


async def principal(caller: Writer) -> str:
    """The owner of an idempotency key; resolved only after the permission was checked."""
    return caller.principal


class CountBody(Body):
    """What was counted; `sku` guards against a count of the wrong variant."""

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
    """Up to 500 counts, all of which are applied or none."""

    items: Annotated[list[CountRow], Field(min_length=1, max_length=MAX_ROWS)]
    reason: Reason

    @model_validator(mode="after")
    def _each_once(self) -> "CountsBody":
        if len({(row.variant_id, row.warehouse_id) for row in self.items}) < len(self.items):
            raise ValueError("a variant is listed twice for one warehouse")
        return self


class AdjustmentBody(Body):
    """Pieces to add (or, negative, to remove), why, and what the adjustment belongs to."""

    adjustment: Annotated[int, Field(ge=-MAX_PIECES, le=MAX_PIECES)]
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


class StockItemView(View):
    """Whole pieces of one variant in one warehouse; `version` is the ETag."""

    variant_id: UUID
    warehouse_id: UUID
    warehouse_code: str
    sku: str
    on_hand: int
    reserved: int
    available: int
    low_stock_threshold: int
    version: int
    updated_at: datetime


class StockItemsView(View):
    """Several stock items."""

    items: list[StockItemView]


class StockView(View):
    """A variant's pieces over all active warehouses, and its items in every warehouse."""

    variant_id: UUID
    product_id: UUID
    sku: str
    seller_id: UUID | None
    on_hand: int
    reserved: int
    available: int
    low_stock_threshold: int
    availability: Availability
    items: list[StockItemView]

    @classmethod
    def of(cls, level: Row[Any], items: list[Row[Any]]) -> "StockView":
        """Show a stored level with its items."""
        return cls(
            **{name: getattr(level, name) for name in cls.model_fields if name != "items"},
            items=[StockItemView.model_validate(item) for item in items],
        )


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
    warehouse_id: Annotated[UUID | None, Query(description="only variants stocked there")] = None,
) -> Page[StockView]:
    """List variants with their stock, by SKU."""
    rows = await views.list_levels(
        tx,
        availability=availability,
        sku=sku,
        product_id=product_id,
        warehouse_id=warehouse_id,
        after=paging.position(str, UUID),
        limit=paging.limit + 1,
    )
    items = await views.list_items(tx, [row.variant_id for row in rows])
    return paging.page(
        rows,
        lambda level: StockView.of(level, items.get(level.variant_id, [])),
        lambda level: (level.sku, level.variant_id),
    )


@router.get("/{variant_id}")
@refuses(VariantUnknown)
async def get_stock(variant_id: UUID, caller: Reader, tx: Tx) -> StockView:
    """Return the stock of one variant."""
    level = await views.get_level(tx, variant_id)
    items = await views.list_items(tx, [variant_id])
    return StockView.of(level, items.get(variant_id, []))


@router.post("/bulk")
@refuses(
    VariantUnknown, WarehouseUnknown, BelowReserved, SellerMismatch, TooManyPieces, SkuMismatch
)
async def count_many(
    *, body: CountsBody, caller: Writer, claim: Annotated[Claim, idempotent(principal)], tx: Tx
) -> StockItemsView:
    """Set what is on hand of many variants at once, without `If-Match`."""
    found = await warehouses.share_lock_warehouses(tx, {row.warehouse_id for row in body.items})
    locked = await stock.lock_stock(tx, {row.variant_id for row in body.items})
    unknown = sorted({row.variant_id for row in body.items} - set(locked.levels))
    if unknown:
        raise VariantUnknown(variant_ids=[str(each) for each in unknown[:100]])
    because = MovementReason(body.reason, "manual", user_id=caller.id)
    for row in body.items:
        item = _find_or_add_item(locked, row.variant_id, found[row.warehouse_id])
        _count(locked, item, row, because)
    await service.save_and_publish(tx, locked)
    audit.name_created(tx, *dict.fromkeys(row.variant_id for row in body.items))
    counted = {(row.variant_id, row.warehouse_id) for row in body.items}
    items = await views.list_items(tx, {variant_id for variant_id, _ in counted})
    view = StockItemsView(
        items=[
            StockItemView.model_validate(item)
            for of_variant in items.values()
            for item in of_variant
            if (item.variant_id, item.warehouse_id) in counted
        ]
    )
    return await claim.store(tx, 200, view)  # type: ignore[return-value]


@router.get("/{variant_id}/{warehouse_id}")
@refuses(StockItemUnknown, VariantUnknown)
async def get_stock_item(
    *, variant_id: UUID, warehouse_id: UUID, caller: Reader, tx: Tx, response: Response
) -> StockItemView:
    """Return the stock of a variant in one warehouse."""
    await views.get_level(tx, variant_id)
    item = await views.get_item(tx, variant_id, warehouse_id)
    etag.set_header(response, item.version)
    return StockItemView.model_validate(item)


@router.put(
    "/{variant_id}/{warehouse_id}",
    responses={201: {"model": StockItemView, "description": "Stocked here from now on"}},
)
@refuses(
    BadIfMatch,
    StockItemUnknown,
    VariantUnknown,
    WarehouseUnknown,
    BelowReserved,
    SellerMismatch,
    TooManyPieces,
    Changed,
    SkuMismatch,
    IfMatchMissing,
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
    """Set what is on hand; needs `If-Match` once the warehouse stocks the variant."""
    found = await warehouses.share_lock_warehouses(tx, {warehouse_id})
    locked = await stock.lock_stock(tx, {variant_id})
    locked.level(variant_id)
    item = locked.find_item(variant_id, warehouse_id)
    if item is not None:
        etag.check(item.version, await etag.expected_version(if_match))
    elif if_match is not None:
        raise Changed
    else:
        item = _find_or_add_item(locked, variant_id, found[warehouse_id])
        response.status_code = 201
    _count(locked, item, body, MovementReason(body.reason, "manual", user_id=caller.id))
    await service.save_and_publish(tx, locked)
    row = await views.get_item(tx, variant_id, warehouse_id)
    etag.set_header(response, row.version)
    return StockItemView.model_validate(row)


@router.post("/{variant_id}/{warehouse_id}/adjustments", status_code=201)
@refuses(StockItemUnknown, VariantUnknown, BelowReserved, TooManyPieces)
async def adjust_stock(
    *,
    variant_id: UUID,
    warehouse_id: UUID,
    body: AdjustmentBody,
    caller: Writer,
    claim: Annotated[Claim, idempotent(principal)],
    tx: Tx,
) -> MovementView:
    """Add pieces to what is on hand, or remove some."""
    locked = await stock.lock_stock(tx, {variant_id})
    locked.level(variant_id)
    item = locked.item(variant_id, warehouse_id)
    because = MovementReason(body.reason, body.reference_type, body.reference_id, caller.id)
    locked.adjust(item, body.adjustment, because)
    await service.save_and_publish(tx, locked)
    movement = await views.get_movement(tx, locked.movements[-1].id)
    return await claim.store(tx, 201, MovementView.model_validate(movement))  # type: ignore[return-value]


def _find_or_add_item(locked: LockedStock, variant_id: UUID, warehouse: Warehouse) -> StockItem:
    found = locked.find_item(variant_id, warehouse.id)
    if found is not None:
        return found
    if warehouse.seller_id not in (None, locked.level(variant_id).seller_id):
        raise SellerMismatch
    return locked.add_stock_item(variant_id, warehouse.id, is_active=warehouse.is_active)


def _count(
    locked: LockedStock, item: StockItem, counted: CountBody | CountRow, because: MovementReason
) -> None:
    if counted.sku not in (None, locked.level(item.variant_id).sku):
        raise SkuMismatch
    locked.count(item, counted.on_hand, because)
    if counted.low_stock_threshold is not None:
        item.set_low_stock_threshold(counted.low_stock_threshold)
