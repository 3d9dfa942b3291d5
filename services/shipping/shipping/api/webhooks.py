"""Webhooks of the carriers: signed reports, with the same effect as those of staff."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from pydantic import model_validator

from chassis import clock, context, webhooks
from chassis.db import Tx
from chassis.errors import NotFound
from chassis.ids import utcnow
from chassis.wire import Id
from shipping.api.tracking import TrackingBody, record
from shipping.settings import ShippingSettings
from shipping.store import shipments as store

router = APIRouter(prefix="/v1/webhooks/shipping")

ProviderCode = Annotated[str, Path(max_length=50, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class CarrierBody(TrackingBody):
    """What happened to the parcel with our id, or else with the carrier's tracking number."""

    shipment_id: Id | None = None

    @model_validator(mode="after")
    def _names_a_parcel(self) -> Self:
        if self.shipment_id is None and self.tracking_number is None:
            raise ValueError("name the parcel by shipment_id or tracking_number")
        return self


async def _signed(request: Request, provider: ProviderCode) -> str:
    """Let only signed webhooks pass; gives their id, which stays the same over repeats."""
    settings: ShippingSettings = request.app.state.settings
    webhook_id = webhooks.verify(
        settings.webhook_keys(provider),
        request.headers,
        await request.body(),
        clock.now(),
        settings.webhook_tolerance,
    )
    context.set_actor(f"carrier:{provider}")
    return webhook_id


@router.post("/{provider}", status_code=204)
async def receive_carrier_webhook(
    provider: ProviderCode, webhook_id: Annotated[str, Depends(_signed)], body: CarrierBody, tx: Tx
) -> None:
    """Take in a carrier's report, signed (Standard Webhooks); sent again, it changes nothing."""
    shipment_id: UUID | None = await store.find_shipment_id(
        tx, provider, body.shipment_id, body.tracking_number
    )
    if shipment_id is None:
        raise NotFound
    now = utcnow()
    source = f"carrier:{provider}"
    await record(tx, shipment_id, body.report(now), now=now, source=source, external_id=webhook_id)
