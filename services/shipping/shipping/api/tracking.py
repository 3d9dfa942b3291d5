"""Reports of what happened to a parcel, entered by staff or told by a carrier's webhook."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, outbox
from chassis.auth import require_permission
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import Invalid, Refused
from chassis.ids import new_id, utcnow
from chassis.wire import Body, Moment, SafeText
from contracts.shipping import Milestone
from shipping.api.shipments import ShipmentView, view
from shipping.carriers import CARRIERS
from shipping.domain import Report, Shipment, TrackingEvent
from shipping.store import fulfilments, methods
from shipping.store import shipments as store

router = APIRouter(
    prefix="/v1/admin/shipments",
    dependencies=[Depends(require_permission("shipping:write"))],
)

CLOCKS_MAY_DIFFER_BY = timedelta(minutes=5)
TrackingNumber = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._/-]+$")]


class TrackingNumberTaken(Refused):
    """Another parcel of this provider has this tracking number."""

    code = "tracking_number_taken"


class ReportRecorded(Refused):
    """This report of the carrier was recorded for another parcel."""

    code = "report_recorded"


class NotYet(Invalid):
    """A report is of something that happened, not of something that will."""

    code = "occurs_in_future"


class TrackingBody(Body):
    """What happened; `occurred_at` is now when left out."""

    type: Milestone
    location: Annotated[SafeText, Field(max_length=200)] | None = None
    remarks: Annotated[SafeText, Field(max_length=500)] | None = None
    occurred_at: Moment | None = None
    tracking_number: TrackingNumber | None = None
    carrier: Annotated[SafeText, Field(min_length=1, max_length=100)] | None = None

    def report(self, now: datetime) -> Report:
        """Say the same as the rules know it."""
        return Report(
            milestone=self.type,
            occurred_at=self.occurred_at or now,
            location=self.location,
            remarks=self.remarks,
            tracking_number=self.tracking_number,
            carrier=self.carrier,
        )


async def record(
    tx: AsyncSession,
    shipment_id: UUID,
    report: Report,
    *,
    now: datetime,
    source: str,
    external_id: str | None = None,
) -> Shipment:
    """Record a report once, move the parcel's status where it may, and tell.

    The order's fulfilment is locked first: of two last parcels arriving at once, the second one
    must see the first.
    """
    if report.occurred_at > now + CLOCKS_MAY_DIFFER_BY:
        raise NotYet
    await fulfilments.lock_fulfilment_of(tx, await store.get_order_id(tx, shipment_id))
    shipment = await store.lock_shipment(tx, shipment_id)
    event = TrackingEvent(
        id=new_id(),
        shipment_id=shipment_id,
        type=report.milestone,
        location=report.location,
        remarks=report.remarks,
        occurred_at=report.occurred_at,
        source=source,
        external_id=external_id,
    )
    if await store.is_recorded(tx, event):
        return shipment
    open_others = await fulfilments.count_open_others(tx, shipment)
    told = shipment.track(await _announced(tx, shipment, report), open_others)
    tx.add(event)
    outbox.add(tx, *told)
    with violations_as(
        uq_shipments_tracking_number=TrackingNumberTaken,
        uq_tracking_events_source_external_id=ReportRecorded,
    ):
        await tx.flush()
    return shipment


async def _announced(tx: AsyncSession, shipment: Shipment, report: Report) -> Report:
    """Add to a report the number and name the carrier goes by from packing on."""
    if report.milestone == "order_received" or shipment.tracking_number is not None:
        return report
    provider = await methods.get_provider_by_code(tx, shipment.provider)
    number = CARRIERS[provider.adapter].tracking_number(shipment.id)
    return replace(
        report,
        tracking_number=report.tracking_number or number,
        carrier=report.carrier or shipment.carrier or provider.name,
    )


@router.post("/{shipment_id}/tracking-events", status_code=201)
async def record_tracking_event(shipment_id: UUID, body: TrackingBody, tx: Tx) -> ShipmentView:
    """Record what happened to a parcel; the same moment recorded again changes nothing."""
    now = utcnow()
    actor = context.current().actor
    return await view(tx, await record(tx, shipment_id, body.report(now), now=now, source=actor))
