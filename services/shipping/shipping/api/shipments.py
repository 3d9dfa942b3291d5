"""Parcels, read by their owners and by staff."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag
from chassis.auth import MaybeCaller, require_permission
from chassis.db import Tx
from chassis.errors import Unauthenticated
from chassis.pages import Page, Paged
from chassis.tokens import hash_of
from chassis.wire import View
from contracts.money import Money
from contracts.shipping import ShipmentStatus
from shipping.domain import Shipment, TrackingEvent
from shipping.store import shipments as store
from shipping.store.shipments import STAFF, Reader

router = APIRouter(prefix="/v1/shipments")
admin = APIRouter(
    prefix="/v1/admin/shipments",
    dependencies=[Depends(require_permission("shipping:read"))],
)


class LineView(View):
    """Whole pieces of one order line in the parcel."""

    line_id: UUID
    variant_id: UUID
    quantity: int


class AddressView(View):
    """Where the parcel goes."""

    recipient_name: str
    line1: str
    line2: str
    city: str
    state: str
    postal_code: str
    country: str
    phone: str


class TrackingEventView(View):
    """One report of what happened to the parcel."""

    type: Literal[
        "order_received",
        "packed",
        "shipped",
        "in_transit",
        "out_for_delivery",
        "delivered",
        "failed",
    ]
    location: str | None
    remarks: str | None
    occurred_at: datetime


class ShipmentView(View):
    """A parcel; `amount` is its share of the shipping charge, `collect` is due at the door."""

    id: UUID
    order_id: UUID
    order_number: str
    seller_id: UUID | None
    warehouse_id: UUID
    shipping_method_id: UUID
    provider: str
    carrier: str | None
    tracking_number: str | None
    amount: Money
    collect: Money | None
    scheduled_for: datetime
    status: ShipmentStatus
    shipped_at: datetime | None
    delivered_at: datetime | None
    created_at: datetime
    ship_to: AddressView
    lines: list[LineView]
    tracking_events: list[TrackingEventView]
    version: int

    @classmethod
    def of(cls, shipment: Shipment, events: list[TrackingEvent]) -> "ShipmentView":
        """Show a parcel with what was reported of it."""
        collects = shipment.collect_amount
        derived = {
            "amount": Money(amount=shipment.amount, currency=shipment.currency),
            "collect": Money(amount=collects, currency=shipment.currency) if collects else None,
            "ship_to": AddressView.model_validate(shipment.ship_to),
            "lines": [LineView.model_validate(line) for line in shipment.lines],
            "tracking_events": [TrackingEventView.model_validate(event) for event in events],
        }
        columns = {
            name: getattr(shipment, name) for name in cls.model_fields if name not in derived
        }
        return cls(**columns, **derived)


async def view(tx: AsyncSession, shipment: Shipment) -> ShipmentView:
    """Show a parcel with what was reported of it."""
    return (await views(tx, [shipment]))[0]


async def views(tx: AsyncSession, shipments: list[Shipment]) -> list[ShipmentView]:
    """Parcels with what was reported of them."""
    events = await store.list_tracking(tx, [each.id for each in shipments])
    return [ShipmentView.of(each, events[each.id]) for each in shipments]


OrderToken = Annotated[
    str | None,
    Header(alias="X-Order-Token", max_length=500, description="a guest's token of the order"),
]


async def reader(caller: MaybeCaller, token: OrderToken = None) -> Reader:
    """Whoever asks: somebody signed in, a guest with the order's token, or both."""
    if caller is None and token is None:
        raise Unauthenticated("Sign in, or send the order's token as X-Order-Token.")
    return Reader(
        customer_id=caller.customer_id if caller else None,
        access_hash=hash_of(token) if token else None,
        sees_all=caller is not None and caller.may("shipping:read"),
    )


Reading = Annotated[Reader, Depends(reader)]


class ShipmentsView(View):
    """The parcels of one order."""

    items: list[ShipmentView]


@router.get("", name="list_shipments")
async def list_shipments_of_order(
    order_id: Annotated[UUID, Query()], who: Reading, tx: Tx
) -> ShipmentsView:
    """List the parcels of an order; none for an order that is not yours."""
    return ShipmentsView(items=await views(tx, await store.list_of_order(tx, order_id, who)))


@router.get("/{shipment_id}")
async def get_shipment(shipment_id: UUID, who: Reading, tx: Tx, response: Response) -> ShipmentView:
    """One parcel and how it travels."""
    shipment = await store.get_shipment(tx, shipment_id, who)
    etag.set_header(response, shipment.version)
    return await view(tx, shipment)


@admin.get("")
async def list_shipments(
    paging: Paged,
    tx: Tx,
    status: Annotated[ShipmentStatus | None, Query()] = None,
    order_id: Annotated[UUID | None, Query()] = None,
) -> Page[ShipmentView]:
    """Parcels, the newest first."""
    rows = await store.list_shipments(tx, paging.limit + 1, paging.position(UUID), status, order_id)
    events = await store.list_tracking(tx, [row.id for row in rows])
    return paging.page(rows, lambda row: ShipmentView.of(row, events[row.id]), lambda row: row.id)


@admin.get("/{shipment_id}", name="get_shipment")
async def get_any_shipment(shipment_id: UUID, tx: Tx, response: Response) -> ShipmentView:
    """One parcel, whosever it is."""
    shipment = await store.get_shipment(tx, shipment_id, STAFF)
    etag.set_header(response, shipment.version)
    return await view(tx, shipment)
