"""What happens in orders when parcels are made, leave, move and arrive.

Each message is stored first. What follows is decided from all that is stored, never from the status
that an earlier message would have set: a message that was delayed leads to the same end.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.ids import utcnow
from contracts.message import Message
from contracts.orders import OrderDelivered, OrderShipped
from contracts.shipping import ShipmentHandedOver, ShipmentUpdated
from orders.domain.checkout import Checkout
from orders.domain.order import Status
from orders.domain.parcels import LEFT, Parcels
from orders.saga.notices import milestone_notice
from orders.saga.process import apply
from orders.saga.triggers import CaptureDue, PartlyRefused, RefusedAtDoor, Trigger
from orders.settings import Deadlines
from orders.store import saving, shipments
from orders.store.saving import Entry

# What the saga of cash on delivery must know, once: a stage that ignores it is told again.
REFUSED: Final[dict[str, type[RefusedAtDoor | PartlyRefused]]] = {
    "refused": RefusedAtDoor,
    "partly_refused": PartlyRefused,
}
REFUSALS: Final = {trigger.__name__ for trigger in REFUSED.values()}


async def hand_over(
    order: Checkout, event: ShipmentHandedOver, tx: AsyncSession, deadlines: Deadlines
) -> list[Message]:
    """A parcel left."""
    if not await shipments.hand_over(tx, event):
        return []
    order.note_left(event.shipment_id)
    return await follow(order, event.handed_over_at, tx, deadlines)


async def update(
    order: Checkout, event: ShipmentUpdated, tx: AsyncSession, deadlines: Deadlines
) -> list[Message]:
    """A parcel moved; the customer is told, unless something newer is known of it."""
    kept_back = order.is_recalled and event.status not in LEFT
    if not await shipments.note_update(tx, event, "cancelled" if kept_back else event.status):
        return []
    if event.status in LEFT:
        order.note_left(event.shipment_id)
    if event.status == "delivered":
        order.note_delivered(event.occurred_at)
    if event.open_shipments == 0:
        order.progress["none_open"] = True
    notice = milestone_notice(order, event)
    return [*notice, *await follow(order, event.occurred_at, tx, deadlines)]


async def follow(
    order: Checkout, at: datetime, tx: AsyncSession, deadlines: Deadlines
) -> list[Message]:
    """Draw the conclusions from what is stored of the parcels, and save the order."""
    known = await shipments.list_statuses(tx, order.order_id)
    parcels = Parcels(known, are_all=order.knows_all_parcels)
    sent, triggers = _move(order, parcels, at)
    entries = [_trigger(order, trigger, deadlines) for trigger in triggers]
    if any(heard.outcome == "moved" and heard.heard in REFUSALS for _, heard, _ in entries):
        order.progress["refusal"] = parcels.outcome
    await saving.save_checkouts(tx, [order], utcnow(), entries)
    return [*sent, *(message for _, heard, _ in entries for message in heard.sent)]


def _move(
    order: Checkout, parcels: Parcels, at: datetime
) -> tuple[list[Message], Sequence[Trigger]]:
    """The order's public status, and what its saga must know, by its parcels."""
    sent: list[Message] = []
    triggers: list[Trigger] = []
    capture = order.facts["payment"]["capture"]
    if parcels.has_left and order.status is Status.CONFIRMED:
        order.become(Status.SHIPPED)
        sent.append(order.record(OrderShipped(**_names(order), shipped_at=at)))
        if capture == "on_shipment":
            triggers.append(CaptureDue())
    if parcels.outcome == "delivered" and order.status is Status.SHIPPED:
        order.become(Status.DELIVERED)
        delivered_at = order.delivered_at or at
        sent.append(order.record(OrderDelivered(**_names(order), delivered_at=delivered_at)))
        if capture == "on_delivery":
            triggers.append(CaptureDue())
    is_news = parcels.outcome != order.progress.get("refusal")
    if capture == "on_delivery" and parcels.outcome in REFUSED and is_news:
        triggers.append(REFUSED[parcels.outcome]())
    return sent, triggers


def _trigger(order: Checkout, trigger: Trigger, deadlines: Deadlines) -> Entry:
    heard = apply(order, trigger, utcnow(), deadlines)
    envelopes = context.current().envelopes
    return order, heard, envelopes[0] if len(envelopes) == 1 else None


def _names(order: Checkout) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "order_number": order.order_number,
        "customer_id": order.customer_id,
    }
