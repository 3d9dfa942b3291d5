"""Routes of shipments for their owners and staff, and tracking by staff and carriers."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, context, etag
from chassis import webhooks as signatures
from chassis.auth import MaybeCaller, require_permission
from chassis.db import Tx
from chassis.errors import NotFound, Unauthenticated, refuses
from chassis.ids import utcnow
from chassis.pages import Page, Paged
from chassis.tokens import hash_of
from chassis.webhooks import BadSignature
from chassis.wire import Body, Id, Moment, SafeText, View
from contracts.money import Money
from contracts.shipping import Milestone, ShipmentStatus
from shipping import store
from shipping.domain.shipments import Report, Shipment, ShipmentClosed, TrackingEvent
from shipping.service import OccursInFuture, ReportRecorded, TrackingNumberTaken, record_report
from shipping.settings import ShippingSettings
from shipping.store import STAFF, Viewer

public = APIRouter(prefix="/v1/shipments")
webhooks = APIRouter(prefix="/v1/webhooks/shipping")
admin = APIRouter(prefix="/v1/admin/shipments")
READ = Depends(require_permission("shipping:read"))
WRITE = Depends(require_permission("shipping:write"))

OrderToken = Annotated[
    str | None,
    Header(alias="X-Order-Token", max_length=500, description="a guest's token of the order"),
]
ProviderCode = Annotated[str, Path(max_length=50, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
TrackingNumber = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._/-]+$")]


class LineView(View):
    """The pieces of one order line in the parcel."""

    line_id: UUID
    variant_id: UUID
    quantity: int


class AddressView(View):
    """The destination of the parcel."""

    recipient_name: str
    line1: str
    line2: str
    city: str
    state: str
    postal_code: str
    country: str
    phone: str


class TrackingEventView(View):
    """A milestone of the parcel."""

    type: Milestone
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


async def _view(tx: AsyncSession, shipment: Shipment) -> ShipmentView:
    return (await _views(tx, [shipment]))[0]


async def _views(tx: AsyncSession, shipments: list[Shipment]) -> list[ShipmentView]:
    events = await store.list_tracking(tx, [each.id for each in shipments])
    return [ShipmentView.of(each, events[each.id]) for each in shipments]


@refuses(Unauthenticated)
async def viewer_of(caller: MaybeCaller, token: OrderToken = None) -> Viewer:
    """A signed-in user, a guest with the order's token, or both; raises Unauthenticated."""
    if caller is None and token is None:
        raise Unauthenticated("Sign in, or send the order's token as X-Order-Token.")
    return Viewer(
        customer_id=caller.customer_id if caller else None,
        access_hash=hash_of(token) if token else None,
        sees_all=caller is not None and caller.may("shipping:read"),
    )


CurrentViewer = Annotated[Viewer, Depends(viewer_of)]


class ShipmentsView(View):
    """The parcels of one order."""

    items: list[ShipmentView]


@public.get("", name="list_shipments")
async def list_shipments_of_order(
    order_id: Annotated[UUID, Query()], viewer: CurrentViewer, tx: Tx
) -> ShipmentsView:
    """List the parcels of an order; empty for an order that is not yours."""
    return ShipmentsView(
        items=await _views(tx, await store.list_order_shipments(tx, order_id, viewer))
    )


@public.get("/{shipment_id}")
@refuses(NotFound)
async def get_shipment(
    shipment_id: UUID, viewer: CurrentViewer, tx: Tx, response: Response
) -> ShipmentView:
    """Return one parcel with its tracking."""
    shipment = await store.get_shipment(tx, shipment_id, viewer)
    etag.set_header(response, shipment.version)
    return await _view(tx, shipment)


@admin.get("", dependencies=[READ])
async def list_shipments(
    paging: Paged,
    tx: Tx,
    status: Annotated[ShipmentStatus | None, Query()] = None,
    order_id: Annotated[UUID | None, Query()] = None,
) -> Page[ShipmentView]:
    """List parcels, newest first."""
    rows = await store.list_shipments(tx, paging.limit + 1, paging.position(UUID), status, order_id)
    events = await store.list_tracking(tx, [row.id for row in rows])
    return paging.page(rows, lambda row: ShipmentView.of(row, events[row.id]), lambda row: row.id)


@admin.get("/{shipment_id}", name="get_shipment", dependencies=[READ])
@refuses(NotFound)
async def get_any_shipment(shipment_id: UUID, tx: Tx, response: Response) -> ShipmentView:
    """Return one parcel of any customer."""
    shipment = await store.get_shipment(tx, shipment_id, STAFF)
    etag.set_header(response, shipment.version)
    return await _view(tx, shipment)


class TrackingBody(Body):
    """A milestone of the parcel; `occurred_at` is the current time by default."""

    type: Milestone
    location: Annotated[SafeText, Field(max_length=200)] | None = None
    remarks: Annotated[SafeText, Field(max_length=500)] | None = None
    occurred_at: Moment | None = None
    tracking_number: TrackingNumber | None = None
    carrier: Annotated[SafeText, Field(min_length=1, max_length=100)] | None = None

    def to_report(self, now: datetime) -> Report:
        return Report(
            milestone=self.type,
            occurred_at=self.occurred_at or now,
            location=self.location,
            remarks=self.remarks,
            tracking_number=self.tracking_number,
            carrier=self.carrier,
        )


@admin.post("/{shipment_id}/tracking-events", status_code=201, dependencies=[WRITE])
@refuses(NotFound, ReportRecorded, ShipmentClosed, TrackingNumberTaken, OccursInFuture)
async def record_tracking_event(shipment_id: UUID, body: TrackingBody, tx: Tx) -> ShipmentView:
    """Record a milestone of a parcel; a repeat with the same time changes nothing."""
    now = utcnow()
    actor = context.current().actor
    report = body.to_report(now)
    shipment = await record_report(tx, shipment_id, report, now=now, source=actor)
    return await _view(tx, shipment)


class CarrierBody(TrackingBody):
    """A milestone of the parcel with our id, or else with the carrier's tracking number."""

    shipment_id: Id | None = None

    @model_validator(mode="after")
    def _identifies_a_parcel(self) -> Self:
        if self.shipment_id is None and self.tracking_number is None:
            raise ValueError("identify the parcel by shipment_id or tracking_number")
        return self


@refuses(BadSignature)
async def verify_signature(request: Request, provider: ProviderCode) -> str:
    """The webhook's id, the same for each repeat; 401 `bad_signature` for a bad signature."""
    settings: ShippingSettings = request.app.state.settings
    webhook_id = signatures.verify(
        settings.webhook_keys(provider),
        request.headers,
        await request.body(),
        clock.now(),
        settings.webhook_tolerance,
    )
    context.set_actor(f"carrier:{provider}")
    return webhook_id


@webhooks.post("/{provider}", status_code=204)
@refuses(NotFound, ReportRecorded, ShipmentClosed, TrackingNumberTaken, OccursInFuture)
async def receive_carrier_webhook(
    provider: ProviderCode,
    webhook_id: Annotated[str, Depends(verify_signature)],
    body: CarrierBody,
    tx: Tx,
) -> None:
    """Record a carrier's signed report (Standard Webhooks); a repeat changes nothing."""
    shipment_id: UUID | None = await store.find_shipment_id(
        tx, provider, body.shipment_id, body.tracking_number
    )
    if shipment_id is None:
        raise NotFound
    now = utcnow()
    await record_report(
        tx,
        shipment_id,
        body.to_report(now),
        now=now,
        source=f"carrier:{provider}",
        external_id=webhook_id,
    )
