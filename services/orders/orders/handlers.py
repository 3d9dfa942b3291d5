"""What happens in orders when a message arrives: the saga applies it, or a parcel moves.

Each message about a parcel is stored first. What follows is decided from all that is stored, never
from the status that an earlier message would have set: a delayed message leads to the same end.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.bus import Bus
from chassis.ids import utcnow
from contracts.identity import CustomerChanged
from contracts.inventory import StockRejected, StockReleased, StockReserved
from contracts.message import Message
from contracts.notifications import NotificationType
from contracts.orders import OrderDelivered, OrderShipped
from contracts.payments import (
    CaptureFailed,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    RefundFailed,
)
from contracts.promotions import PromotionsRedeemed, PromotionsRejected, PromotionsReleased
from contracts.shipping import (
    ShipmentAlreadySent,
    ShipmentHandedOver,
    ShipmentImpossible,
    ShipmentsCancelled,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
    ShipmentUpdated,
)
from orders.domain.checkout import CaptureDue, Checkout, PartlyRefused, RefusedAtDoor, Trigger
from orders.domain.order import Status
from orders.domain.parcels import LEFT, Parcels
from orders.saga.engine import is_early
from orders.saga.steps import build_notice
from orders.service import Arrival, advance_all
from orders.settings import OrdersSettings
from orders.store import orders, shipments

bus: Bus[OrdersSettings] = Bus("orders")

# An earlier event may have become a dead letter; later ones do not wait for it for good.
LONGEST_WAIT: Final = timedelta(minutes=1)

# By milestone and the parcel's state after it: a milestone reported late, when the parcel is past
# it, is no news to the customer.
MILESTONES: Final[dict[tuple[str, str], NotificationType]] = {
    ("shipped", "in_transit"): "order_shipped",
    ("in_transit", "in_transit"): "order_in_transit",
    ("out_for_delivery", "out_for_delivery"): "order_out_for_delivery",
    ("delivered", "delivered"): "order_delivered",
    ("failed", "failed"): "delivery_failed",
}

# What the saga of cash on delivery must learn of its parcels; a stage without a row for it ignores
# it, and then it is applied again with the next event.
REFUSALS: Final[dict[str, type[RefusedAtDoor | PartlyRefused]]] = {
    "refused": RefusedAtDoor,
    "partly_refused": PartlyRefused,
}


class OrderUnknown(Exception):
    """A reply whose order is not there (yet): never discarded, always retried."""


class EarlierEventMissing(Exception):
    """An event of the payment arrived before an earlier one: it is retried after that."""


async def _apply(replies: Sequence[Any], tx: AsyncSession) -> list[list[Message]]:
    """Apply the replies of a batch to their sagas: one lock, one save."""
    _, answers = await _apply_to_orders(replies, tx)
    return answers


async def _apply_to_orders(
    replies: Sequence[Any], tx: AsyncSession
) -> tuple[dict[UUID, Checkout], list[list[Message]]]:
    now = utcnow()
    found = await _lock(tx, *(reply.order_id for reply in replies))
    arrivals = _in_sequence(found, replies, now)
    transitions = await advance_all(tx, list(found.values()), arrivals, now, bus.settings.deadlines)
    return found, [transition.sent for transition in transitions]


def _in_sequence(
    found: dict[UUID, Checkout], replies: Sequence[Any], now: datetime
) -> Iterator[Arrival]:
    """The arrivals of a batch. Raises EarlierEventMissing for one that is early.

    Each is checked when those before it have been applied.
    """
    for reply, envelope in zip(replies, context.current().envelopes, strict=True):
        order = found[reply.order_id]
        # A clock that differs makes no event wait.
        is_fresh = timedelta(0) <= now - envelope.time < LONGEST_WAIT
        if is_fresh and is_early(order, reply):
            raise EarlierEventMissing(f"{type(reply).__name__} {reply.sequence}")
        yield Arrival(order, reply, envelope)


for reply_class in (
    StockReserved,
    StockRejected,
    StockReleased,
    PromotionsRedeemed,
    PromotionsRejected,
    PromotionsReleased,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    PaymentCancelled,
    PaymentRefunded,
    PaymentDisputed,
    RefundFailed,
    CaptureFailed,
    ShipmentImpossible,
):
    bus.handles_many(reply_class)(_apply)


@bus.handles_many(ShipmentsCreated, low_priority=True)
async def shipments_created(
    events: Sequence[ShipmentsCreated], tx: AsyncSession
) -> list[list[Message]]:
    """Store the parcels; the saga is complete."""
    found, answers = await _apply_to_orders(events, tx)
    recalled = {order_id for order_id, order in found.items() if order.progress.is_recalled}
    parcels = [(event.order_id, event.shipments) for event in events]
    await shipments.insert_parcels(tx, parcels, recalled)
    for event, answer in zip(events, answers, strict=True):
        order = found[event.order_id]
        if not order.not_shipped():
            answer.extend(await _follow_parcels(order, utcnow(), tx))
    return answers


@bus.handles(ShipmentsCancelled, ShipmentsPartlyCancelled, ShipmentAlreadySent)
async def shipments_recalled(
    event: ShipmentsCancelled | ShipmentsPartlyCancelled | ShipmentAlreadySent, tx: AsyncSession
) -> list[Message]:
    """Cancel the parcels that had not left."""
    found, (answer,) = await _apply_to_orders([event], tx)
    if not isinstance(event, ShipmentAlreadySent):
        await shipments.cancel_open(tx, event.order_id)
    return [*answer, *await _follow_parcels(found[event.order_id], utcnow(), tx)]


@bus.handles(ShipmentHandedOver)
async def shipment_handed_over(event: ShipmentHandedOver, tx: AsyncSession) -> list[Message]:
    """A parcel left: the order is shipped, and money due on shipment is captured."""
    order = (await _lock(tx, event.order_id))[event.order_id]
    if not await shipments.hand_over(tx, event):
        return []
    order.note_left(event.shipment_id)
    return await _follow_parcels(order, event.handed_over_at, tx)


@bus.handles(ShipmentUpdated)
async def shipment_updated(event: ShipmentUpdated, tx: AsyncSession) -> list[Message]:
    """A parcel moved: notify the customer, unless a newer state is stored."""
    order = (await _lock(tx, event.order_id))[event.order_id]
    is_cancelled = order.progress.is_recalled and event.status not in LEFT
    status = "cancelled" if is_cancelled else event.status
    if not await shipments.upsert_status(tx, event, status):
        return []
    if event.status in LEFT:
        order.note_left(event.shipment_id)
    if event.status == "delivered":
        order.note_delivered(event.occurred_at)
    if event.open_shipments == 0:
        order.progress.none_open = True
    notices = _milestone_notices(order, event)
    return [*notices, *await _follow_parcels(order, event.occurred_at, tx)]


@bus.handles(CustomerChanged)
async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """A customer was merged into another: their orders move along."""
    if event.merged_into is not None:
        await orders.move_orders(tx, event.customer_id, event.merged_into)


async def _lock(tx: AsyncSession, *order_ids: UUID) -> dict[UUID, Checkout]:
    found = await orders.lock_checkouts(tx, order_ids)
    missing = [str(order_id) for order_id in order_ids if order_id not in found]
    if missing:
        raise OrderUnknown(f"no order {', '.join(missing[:3])}")
    return found


async def _follow_parcels(order: Checkout, at: datetime, tx: AsyncSession) -> list[Message]:
    """Draw the conclusions from the stored parcels, and save the order."""
    statuses = await shipments.list_statuses(tx, order.order_id)
    sent, triggers = _conclude(order, Parcels(statuses, are_all=order.knows_all_parcels), at)
    envelopes = context.current().envelopes
    envelope = envelopes[0] if len(envelopes) == 1 else None
    arrivals = [Arrival(order, trigger, envelope) for trigger in triggers]
    transitions = await advance_all(tx, [order], arrivals, utcnow(), bus.settings.deadlines)
    return [*sent, *(message for transition in transitions for message in transition.sent)]


def _conclude(
    order: Checkout, parcels: Parcels, at: datetime
) -> tuple[list[Message], list[Trigger]]:
    """The order's public status, and what its saga must learn, by its parcels."""
    sent: list[Message] = []
    triggers: list[Trigger] = []
    capture = order.facts.payment.capture
    if parcels.has_left and order.status is Status.CONFIRMED:
        order.set_status(Status.SHIPPED)
        sent.append(order.record(OrderShipped(**order.reference, shipped_at=at)))
        if capture == "on_shipment":
            triggers.append(CaptureDue())
    if parcels.outcome == "delivered" and order.status is Status.SHIPPED:
        order.set_status(Status.DELIVERED)
        delivered_at = order.progress.delivered_at or at
        sent.append(order.record(OrderDelivered(**order.reference, delivered_at=delivered_at)))
        if capture == "on_delivery":
            triggers.append(CaptureDue())
    is_news = parcels.outcome != order.progress.refusal
    if capture == "on_delivery" and parcels.outcome in REFUSALS and is_news:
        triggers.append(REFUSALS[parcels.outcome]())
    return sent, triggers


def _milestone_notices(order: Checkout, event: ShipmentUpdated) -> list[Message]:
    """The notice that a parcel reached a milestone, if its customer is notified of that one."""
    kind = MILESTONES.get((event.milestone, event.status))
    if kind is None:
        return []
    notice = build_notice(
        order,
        kind,
        carrier=event.carrier or "",
        tracking_number=event.tracking_number or "",
        **({"open_parcels": event.open_shipments} if event.open_shipments else {}),
    )
    reference = {"reference_type": "shipment", "reference_id": event.shipment_id}
    return [notice.model_copy(update=reference)]
