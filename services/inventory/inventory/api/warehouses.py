"""Warehouses over HTTP: made, changed, closed and removed by staff."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from chassis import etag, outbox
from chassis.constraints import refusing
from chassis.db import Tx
from chassis.ids import new_id
from chassis.pages import Page, Paged
from chassis.wire import Body, Id, Line, Name, OptionalLine, SafeText, Sku, View
from inventory.api.access import Reader, Writer
from inventory.domain.warehouse import Warehouse, WarehouseCodeTaken
from inventory.store import stock, warehouses

router = APIRouter(prefix="/v1/admin/warehouses")

ShortText = Annotated[SafeText, Field(max_length=20)]


class WarehouseAddress(Body):
    """Where a warehouse stands; `country` is ISO 3166-1 alpha-2, `state` its code."""

    line1: Line
    line2: OptionalLine = ""
    city: Name
    state: Annotated[SafeText, Field(max_length=100)] = ""
    postal_code: ShortText = ""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    phone: ShortText = ""


class WarehouseBody(Body):
    """A warehouse; a lower `priority` is emptied first, `seller_id` null is the house."""

    code: Sku
    name: Name
    address: WarehouseAddress | None = None
    priority: Annotated[int, Field(ge=0, le=10_000)] = 100
    is_active: bool = True
    seller_id: Id | None = None


class WarehouseView(View):
    """A warehouse."""

    id: UUID
    code: str
    name: str
    address: WarehouseAddress | None
    priority: int
    is_active: bool
    seller_id: UUID | None
    version: int


@router.get("")
async def list_warehouses(
    *,
    caller: Reader,
    paging: Paged,
    tx: Tx,
    is_active: bool | None = None,
    seller_id: Annotated[UUID | None, Query(description="only this seller's")] = None,
) -> Page[WarehouseView]:
    """List the warehouses in the order in which they are emptied."""
    rows = await warehouses.list_warehouses(
        tx,
        is_active=is_active,
        seller_id=seller_id,
        after=paging.position(int, str),
        limit=paging.limit + 1,
    )
    return paging.page(rows, WarehouseView.model_validate, lambda row: (row.priority, row.code))


@router.post("", status_code=201)
async def create_warehouse(
    *, body: WarehouseBody, caller: Writer, tx: Tx, response: Response
) -> WarehouseView:
    """Make a warehouse."""
    warehouse = Warehouse(id=new_id(), **body.model_dump(mode="json", exclude={"seller_id"}))
    warehouse.seller_id = body.seller_id
    tx.add(warehouse)
    await _flush(tx)
    etag.show(response, warehouse.version)
    return WarehouseView.model_validate(warehouse)


@router.get("/{warehouse_id}")
async def get_warehouse(
    *, warehouse_id: UUID, caller: Reader, tx: Tx, response: Response
) -> WarehouseView:
    """Read one warehouse."""
    warehouse = await warehouses.get_warehouse(tx, warehouse_id)
    etag.show(response, warehouse.version)
    return WarehouseView.model_validate(warehouse)


@router.put("/{warehouse_id}")
async def change_warehouse(
    *,
    warehouse_id: UUID,
    body: WarehouseBody,
    expected: etag.IfMatch,
    caller: Writer,
    tx: Tx,
    response: Response,
) -> WarehouseView:
    """Change a warehouse; making it inactive takes its stock off sale at once."""
    warehouse = await warehouses.lock_warehouse(tx, warehouse_id)
    etag.check(warehouse.version, expected)
    was_active = warehouse.is_active
    for name, value in body.model_dump(mode="json", exclude={"seller_id"}).items():
        setattr(warehouse, name, value)
    warehouse.seller_id = body.seller_id
    warehouse.touch()
    await _flush(tx)
    if warehouse.is_active != was_active:
        await _tell_levels(tx, warehouse_id)
    etag.show(response, warehouse.version)
    return WarehouseView.model_validate(warehouse)


@router.delete("/{warehouse_id}", status_code=204)
async def delete_warehouse(
    *, warehouse_id: UUID, expected: etag.IfMatch, caller: Writer, tx: Tx
) -> None:
    """Remove a warehouse in which nothing was ever kept."""
    warehouse = await warehouses.lock_warehouse(tx, warehouse_id)
    etag.check(warehouse.version, expected)
    await warehouses.remove_warehouse(tx, warehouse)


async def _flush(tx: Tx) -> None:
    with refusing(uq_warehouses_code=WarehouseCodeTaken):
        await tx.flush()


async def _tell_levels(tx: Tx, warehouse_id: UUID) -> None:
    """Count anew what is for sale of every variant kept in a warehouse that opened or closed."""
    locked = await stock.lock_stock(tx, await warehouses.list_variants_kept(tx, warehouse_id))
    for events in (await stock.save_stock(tx, locked)).values():
        outbox.add(tx, *events)
