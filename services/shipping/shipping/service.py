"""Recording a report on a parcel, from staff or from a carrier's webhook."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.constraints import violations_as
from chassis.errors import Invalid, Refused
from chassis.ids import new_id
from shipping import store
from shipping.clients import CARRIERS
from shipping.domain.shipments import Report, Shipment, TrackingEvent

MAX_CLOCK_SKEW: Final = timedelta(minutes=5)


class TrackingNumberTaken(Refused):
    """Another parcel of this provider has this tracking number."""

    code = "tracking_number_taken"


class ReportRecorded(Refused):
    """This report of the carrier was recorded for another parcel."""

    code = "report_recorded"


class OccursInFuture(Invalid):
    """A report must be of an event in the past."""

    code = "occurs_in_future"


async def record_report(
    tx: AsyncSession,
    shipment_id: UUID,
    report: Report,
    *,
    now: datetime,
    source: str,
    external_id: str | None = None,
) -> Shipment:
    """Store a report once, update the shipment's status and publish the events.

    The order's fulfilment is locked first: of two last parcels delivered at once, the second
    transaction must count the first one. Raises NotFound, OccursInFuture, TrackingNumberTaken,
    ReportRecorded and ShipmentClosed.
    """
    if report.occurred_at > now + MAX_CLOCK_SKEW:
        raise OccursInFuture
    await store.lock_fulfilment(tx, await store.get_order_id(tx, shipment_id))
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
    open_others = await store.count_open_others(tx, shipment)
    events = shipment.track(await _add_carrier(tx, shipment, report), open_others)
    tx.add(event)
    outbox.add(tx, *events)
    with violations_as(
        uq_shipments_tracking_number=TrackingNumberTaken,
        uq_tracking_events_source_external_id=ReportRecorded,
    ):
        await tx.flush()
    return shipment


async def _add_carrier(tx: AsyncSession, shipment: Shipment, report: Report) -> Report:
    """The report with the carrier's tracking number and name, from `packed` on."""
    if report.milestone == "order_received" or shipment.tracking_number is not None:
        return report
    provider = await store.get_provider_by_code(tx, shipment.provider)
    number = CARRIERS[provider.adapter].tracking_number(shipment.id)
    return replace(
        report,
        tracking_number=report.tracking_number or number,
        carrier=report.carrier or shipment.carrier or provider.name,
    )
