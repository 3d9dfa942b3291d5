"""Warehouses, as staff create, change, close and remove them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from chassis import etag
from chassis.addresses import PlaceBody
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import refuses
from chassis.ids import new_id
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, Id, Name, Sku, View
from inventory import service
from inventory.api import Reader, Writer
from inventory.domain.warehouse import (
    Recount,
    Warehouse,
    WarehouseCodeTaken,
    WarehouseInUse,
    WarehouseUnknown,
)
from inventory.store import warehouses

router = APIRouter(prefix="/v1/admin/warehouses")


class WarehouseAddressView(View):
    """Where a warehouse is, as stored; older rows may hold phone numbers of any form."""

    line1: str
    line2: str = ""
    city: str
    state: str = ""
    postal_code: str = ""
    country: str
    phone: str = ""


class WarehouseBody(Body):
    """A warehouse; a lower `priority` is emptied first, `seller_id` null is the house."""

    code: Sku
    name: Name
    address: PlaceBody | None = None
    priority: Annotated[int, Field(ge=0, le=10_000)] = 100
    is_active: bool = True
    seller_id: Id | None = None


class RecountView(View):
    """How many variants of a warehouse that opened or closed were recounted, of how many."""

    done: int
    total: int


class WarehouseView(View):
    """A warehouse; `recount` while events of its variants' stock are still to be published."""

    id: UUID
    code: str
    name: str
    address: WarehouseAddressView | None
    priority: int
    is_active: bool
    seller_id: UUID | None
    version: int
    recount: RecountView | None = None

    @classmethod
    def of(cls, warehouse: Warehouse, job: Recount | None = None) -> "WarehouseView":
        """Show a warehouse, and the recount that its last opening or closing has left."""
        values = {name: getattr(warehouse, name, None) for name in cls.model_fields}
        return cls(**values | {"recount": job and RecountView.model_validate(job)})


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
    found = await warehouses.list_recounts(tx, [row.id for row in rows])
    jobs = {job.warehouse_id: job for job in found}
    return paging.page(
        rows,
        lambda row: WarehouseView.of(row, jobs.get(row.id)),
        lambda row: (row.priority, row.code),
    )


@router.post("", status_code=201)
@refuses(WarehouseCodeTaken)
async def create_warehouse(
    *, body: WarehouseBody, caller: Writer, tx: Tx, response: Response
) -> WarehouseView:
    """Create a warehouse."""
    warehouse = Warehouse(id=new_id(), **body.model_dump(mode="json", exclude={"seller_id"}))
    warehouse.seller_id = body.seller_id
    tx.add(warehouse)
    await _flush(tx)
    audit.name_created(tx, warehouse.id)
    etag.set_header(response, warehouse.version)
    return WarehouseView.of(warehouse)


@router.get("/{warehouse_id}")
@refuses(WarehouseUnknown)
async def get_warehouse(
    *, warehouse_id: UUID, caller: Reader, tx: Tx, response: Response
) -> WarehouseView:
    """Return one warehouse."""
    warehouse = await warehouses.get_warehouse(tx, warehouse_id)
    etag.set_header(response, warehouse.version)
    return WarehouseView.of(warehouse, await warehouses.find_recount(tx, warehouse_id))


@router.put("/{warehouse_id}")
@refuses(WarehouseUnknown, WarehouseCodeTaken)
async def change_warehouse(
    *,
    warehouse_id: UUID,
    body: WarehouseBody,
    expected: etag.IfMatch,
    caller: Writer,
    tx: Tx,
    response: Response,
) -> WarehouseView:
    """Change a warehouse; making it inactive takes its stock off sale at once.

    The events of the stock follow: those of 200 variants at once, the rest in the background;
    `recount` shows the progress.
    """
    warehouse = await warehouses.lock_warehouse(tx, warehouse_id)
    etag.check(warehouse.version, expected)
    was_active = warehouse.is_active
    for name, value in body.model_dump(mode="json", exclude={"seller_id"}).items():
        setattr(warehouse, name, value)
    warehouse.seller_id = body.seller_id
    warehouse.touch()
    await _flush(tx)
    if warehouse.is_active != was_active:
        job = await service.start_recount(tx, warehouse_id)
    else:
        job = await warehouses.find_recount(tx, warehouse_id)
    etag.set_header(response, warehouse.version)
    return WarehouseView.of(warehouse, job)


@router.delete("/{warehouse_id}", status_code=204)
@refuses(WarehouseUnknown, WarehouseInUse)
async def delete_warehouse(
    *, warehouse_id: UUID, expected: etag.IfMatch, caller: Writer, tx: Tx
) -> None:
    """Remove a warehouse that never stocked a variant."""
    warehouse = await warehouses.lock_warehouse(tx, warehouse_id)
    etag.check(warehouse.version, expected)
    await warehouses.remove_warehouse(tx, warehouse)


async def _flush(tx: Tx) -> None:
    with violations_as(uq_warehouses_code=WarehouseCodeTaken):
        await tx.flush()
