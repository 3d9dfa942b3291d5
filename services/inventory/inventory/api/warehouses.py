"""Warehouses over HTTP: made, changed, closed and removed by staff."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from chassis import etag
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.ids import new_id
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, Id, Line, Name, OptionalLine, SafeText, Sku, View
from inventory.api.access import Reader, Writer
from inventory.domain.warehouse import Recount, Warehouse, WarehouseCodeTaken
from inventory.store import recounts, warehouses

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


class RecountView(View):
    """Of how many variants it is told already that their warehouse opened or closed."""

    done: int
    total: int


class WarehouseView(View):
    """A warehouse; `recount` while the stock of its variants is still to be told."""

    id: UUID
    code: str
    name: str
    address: WarehouseAddress | None
    priority: int
    is_active: bool
    seller_id: UUID | None
    version: int
    recount: RecountView | None = None

    @classmethod
    def of(cls, warehouse: Warehouse, job: Recount | None = None) -> "WarehouseView":
        """Show a warehouse, and what its last opening or closing has left to do."""
        told = {name: getattr(warehouse, name, None) for name in cls.model_fields}
        return cls(**told | {"recount": job and RecountView.model_validate(job)})


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
    found = await recounts.list_recounts(tx, [row.id for row in rows])
    jobs = {job.warehouse_id: job for job in found}
    return paging.page(
        rows,
        lambda row: WarehouseView.of(row, jobs.get(row.id)),
        lambda row: (row.priority, row.code),
    )


@router.post("", status_code=201)
async def create_warehouse(
    *, body: WarehouseBody, caller: Writer, tx: Tx, response: Response
) -> WarehouseView:
    """Make a warehouse."""
    warehouse = Warehouse(id=new_id(), **body.model_dump(mode="json", exclude={"seller_id"}))
    warehouse.seller_id = body.seller_id
    tx.add(warehouse)
    await _flush(tx)
    audit.name_created(tx, warehouse.id)
    etag.set_header(response, warehouse.version)
    return WarehouseView.of(warehouse)


@router.get("/{warehouse_id}")
async def get_warehouse(
    *, warehouse_id: UUID, caller: Reader, tx: Tx, response: Response
) -> WarehouseView:
    """Read one warehouse."""
    warehouse = await warehouses.get_warehouse(tx, warehouse_id)
    etag.set_header(response, warehouse.version)
    return WarehouseView.of(warehouse, await recounts.find_recount(tx, warehouse_id))


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
    """Change a warehouse; making it inactive takes its stock off sale at once.

    What is told of the stock follows: of 200 variants at once, of the rest in the background;
    `recount` tells how far that is.
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
        job = await recounts.start_recount(tx, warehouse_id)
    else:
        job = await recounts.find_recount(tx, warehouse_id)
    etag.set_header(response, warehouse.version)
    return WarehouseView.of(warehouse, job)


@router.delete("/{warehouse_id}", status_code=204)
async def delete_warehouse(
    *, warehouse_id: UUID, expected: etag.IfMatch, caller: Writer, tx: Tx
) -> None:
    """Remove a warehouse in which nothing was ever kept."""
    warehouse = await warehouses.lock_warehouse(tx, warehouse_id)
    etag.check(warehouse.version, expected)
    await warehouses.remove_warehouse(tx, warehouse)


async def _flush(tx: Tx) -> None:
    with violations_as(uq_warehouses_code=WarehouseCodeTaken):
        await tx.flush()
