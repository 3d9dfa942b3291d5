"""What the moves that undo an order send. A step changes the checkout and returns messages."""

from collections import Counter
from datetime import datetime
from uuid import UUID

from contracts.inventory import Allocation, ReleaseStock, RestockUnits
from contracts.message import Message
from contracts.money import Money
from contracts.orders import OrderCancelled
from contracts.payments import CancelPayment, PaymentRefunded, RefundPayment
from contracts.promotions import ReleasePromotions
from contracts.shipping import CancelShipments, ShipmentsPartlyCancelled
from orders.domain.checkout import Checkout
from orders.domain.order import PaymentStatus, Status
from orders.saga.notices import cancelled_notice, refund_notice
from orders.saga.triggers import CancelRequested, ReviewRefund

Sent = list[Message]


def release(order: Checkout, heard: object, now: datetime) -> Sent:
    """Give back whatever is held."""
    if isinstance(heard, CancelRequested):
        order.cancellation_state = "requested"
    order.progress["stock_released"] = False
    order.progress["promotions_released"] = False
    return release_again(order, heard, now)


def release_again(order: Checkout, heard: object, now: datetime) -> Sent:
    """Ask once more for what has not been given back."""
    sent: Sent = []
    if not order.progress.get("stock_released"):
        sent.append(
            ReleaseStock(operation_id=order.operation("release stock"), order_id=order.order_id)
        )
    if order.has_coupon and not order.progress.get("promotions_released"):
        sent.append(
            ReleasePromotions(
                operation_id=order.operation("release promotions"), order_id=order.order_id
            )
        )
    return sent


def end(order: Checkout, heard: object, now: datetime) -> Sent:
    """The order is over without a sale; said once ever, even when late money opened it again."""
    if order.progress.get("said_cancelled"):
        return []
    order.progress["said_cancelled"] = True
    reason = order.progress.get("reason", "timed_out")
    order.cancelled_at = now
    order.cancellation_reason = reason
    order.cancellation_state = "done"
    if order.payment_status in (PaymentStatus.PENDING, PaymentStatus.AUTHORIZED):
        order.payment_status = PaymentStatus.FAILED
    order.become(Status.CANCELLED, reason)
    return [
        order.record(
            OrderCancelled(
                order_id=order.order_id,
                order_number=order.order_number,
                customer_id=order.customer_id,
                cart_id=order.cart_id,
                reason=reason,
                cancelled_at=now,
                confirmed_at=order.confirmed_at,
            )
        ),
        *cancelled_notice(order),
    ]


def cancel_payment(order: Checkout, heard: object, now: datetime) -> Sent:
    """Never assume that a payment failed: ask for its cancelling, and hear what became of it."""
    if isinstance(heard, CancelRequested):
        order.cancellation_state = "requested"
    return [CancelPayment(operation_id=order.operation("cancel payment"), order_id=order.order_id)]


def refund(order: Checkout, heard: object, now: datetime) -> Sent:
    """Give back all that is kept: one operation until it is done or staff gave back a part."""
    return [
        RefundPayment(
            operation_id=order.operation(
                f"refund {order.captured_amount} less {order.refunded_amount}"
            ),
            order_id=order.order_id,
            amount=order.money(order.kept_amount),
            reason=order.progress.get("reason", "cancelled"),
        )
    ]


def tell_refund(order: Checkout, heard: object, now: datetime) -> Sent:
    """The money went back: give back the rest, and tell the customer."""
    notice = refund_notice(order, heard) if isinstance(heard, PaymentRefunded) else []
    return [*release(order, heard, now), *notice]


def recall(order: Checkout, heard: object, now: datetime) -> Sent:
    """Keep the parcels back, if they are still there."""
    order.cancellation_state = "requested"
    return recall_again(order, heard, now)


def recall_again(order: Checkout, heard: object, now: datetime) -> Sent:
    """Ask once more for the parcels to be kept back."""
    return [CancelShipments(operation_id=order.operation("recall"), order_id=order.order_id)]


def refuse_cancellation(order: Checkout, heard: object, now: datetime) -> Sent:
    """All parcels are gone: the order stands."""
    order.cancellation_state = "refused"
    return []


def refund_unsent(order: Checkout, heard: object, now: datetime) -> Sent:
    """Some parcels are gone: give back the money and the stock of those kept back."""
    order.cancellation_state = "done"
    if not isinstance(heard, ShipmentsPartlyCancelled):
        return []
    pieces = Counter[UUID]()
    for kept in heard.unsent:
        pieces[kept.line_id] += kept.quantity
    amount = order.refund_pieces(pieces)
    return [
        *partial_refund(order, order.money(amount), "unsent"),
        ReleaseStock(operation_id=order.operation("release unsent"), order_id=order.order_id),
    ]


def review_unsent(order: Checkout, heard: object, now: datetime) -> Sent:
    """Some parcels are gone and nothing was paid for them: give back what is not sent, and ask."""
    order.progress["review"] = "payment"
    return refund_unsent(order, heard, now)


def review_refused(order: Checkout, heard: object, now: datetime) -> Sent:
    """All parcels are gone and nothing was paid for them."""
    order.progress["review"] = "payment"
    return refuse_cancellation(order, heard, now)


def partial_refund(order: Checkout, amount: Money, purpose: str) -> Sent:
    """Give part of the money back, never more than is kept."""
    capped = min(amount.amount, order.kept_amount)
    if capped <= 0:
        return []
    return [
        RefundPayment(
            operation_id=order.operation(f"refund {purpose} {order.refunded_amount}"),
            order_id=order.order_id,
            amount=order.money(capped),
            reason=purpose,
        )
    ]


def refund_reviewed(order: Checkout, heard: object, now: datetime) -> Sent:
    """Staff decided: give back what the lines cost that cannot be sent."""
    if not isinstance(heard, ReviewRefund):
        return []
    return [
        *partial_refund(order, order.money(heard.amount), "review"),
        ReleaseStock(operation_id=order.operation("release unsent"), order_id=order.order_id),
    ]


def take_back(order: Checkout, heard: object, now: datetime) -> Sent:
    """The parcel was refused at the door: its pieces return to their shelves, nothing is due."""
    lines = [Allocation.model_validate(a) for a in order.progress["allocations"]]
    restock = RestockUnits(
        operation_id=order.operation("restock"),
        order_id=order.order_id,
        lines=lines,
        reason="refused at the door",
    )
    return [restock, *cancel_payment(order, heard, now)]
