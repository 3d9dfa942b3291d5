"""What the customer is told about an order, each once."""

from contracts.message import Message
from contracts.notifications import NotificationType, Notify
from contracts.payments import PaymentRefunded
from contracts.shipping import ShipmentUpdated
from orders.domain.checkout import Checkout

# By milestone and the parcel's state after it: a milestone told late, when the parcel is past it,
# is no news to the customer.
MILESTONES: dict[tuple[str, str], NotificationType] = {
    ("shipped", "in_transit"): "order_shipped",
    ("in_transit", "in_transit"): "order_in_transit",
    ("out_for_delivery", "out_for_delivery"): "order_out_for_delivery",
    ("delivered", "delivered"): "order_delivered",
    ("failed", "failed"): "delivery_failed",
}


def _notice(order: Checkout, kind: NotificationType, **facts: object) -> Notify:
    return Notify(
        operation_id=order.operation(f"notify {kind}"),
        type=kind,
        user_id=order.user_id,
        recipient=order.facts["email"],
        reference_type="order",
        reference_id=order.order_id,
        facts={
            "name": order.facts["ship_to"]["recipient_name"],
            "order_number": order.order_number,
            **facts,
        },
    )


def confirmed_notice(order: Checkout) -> list[Message]:
    """The order is confirmed; what was bought and what it cost."""
    items = "\n".join(f"{item['quantity']} x {item['name']}" for item in order.facts["items"])
    return [
        _notice(
            order,
            "order_confirmation",
            items=items,
            total=order.money(order.total_amount),
        )
    ]


def cancelled_notice(order: Checkout) -> list[Message]:
    """The order is cancelled, and why."""
    return [_notice(order, "order_cancelled", reason=order.cancellation_reason or "")]


def refund_notice(order: Checkout, refunded: PaymentRefunded) -> list[Message]:
    """Money is on its way back."""
    notice = _notice(order, "refund", refund=refunded.refunded)
    operation = refunded.operation_id or order.operation(f"refund {refunded.refunded_total.amount}")
    return [notice.model_copy(update={"reference_type": "refund", "reference_id": operation})]


def milestone_notice(order: Checkout, update: ShipmentUpdated) -> list[Message]:
    """A parcel reached a milestone the customer wants to hear of."""
    kind = MILESTONES.get((update.milestone, update.status))
    if kind is None:
        return []
    notice = _notice(
        order,
        kind,
        carrier=update.carrier or "",
        tracking_number=update.tracking_number or "",
        **({"open_parcels": update.open_shipments} if update.open_shipments else {}),
    )
    reference = {"reference_type": "shipment", "reference_id": update.shipment_id}
    return [notice.model_copy(update=reference)]
