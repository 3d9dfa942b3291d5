"""The steps of the saga: each changes the checkout and returns the messages to send.

A step that reads the message it answers is typed with it; a test compares these types with the
rows of the table.
"""

from collections import Counter
from datetime import datetime
from uuid import UUID

from contracts.inventory import ReleaseStock, ReserveStock, RestockUnits, WantedLine
from contracts.message import Message
from contracts.money import Money
from contracts.notifications import NotificationType, Notify
from contracts.orders import (
    CustomerActionRequired,
    OrderCancelled,
    OrderConfirmed,
    OrderPaymentChanged,
    OrderPlaced,
)
from contracts.payments import (
    CancelPayment,
    CapturePayment,
    CollectPayment,
    PaymentActionRequired,
    PaymentCancelled,
    PaymentRefunded,
    RefundPayment,
)
from contracts.promotions import RedeemPromotions, ReleasePromotions
from contracts.shipping import CancelShipments, CreateShipments, ShipmentsPartlyCancelled
from orders.domain.checkout import Checkout, PartlyRefused, RefusedAtDoor, ReviewRefund
from orders.domain.order import PaymentStatus, Status

Sent = list[Message]


def send_nothing(order: Checkout, trigger: object, now: datetime) -> Sent:
    return []


# Towards a delivered order.


def place(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Publish that the order was placed, and reserve its stock."""
    event = OrderPlaced(
        **order.reference,
        cart_id=order.cart_id,
        lines=order.facts.lines,
        total=order.money(order.total_amount),
        payment_method=order.payment_method,
        placed_at=order.placed_at,
    )
    return [order.record(event), *reserve(order, trigger, now)]


def reserve(order: Checkout, trigger: object, now: datetime) -> Sent:
    wanted = [
        WantedLine(line_id=line.line_id, variant_id=line.variant_id, quantity=line.quantity)
        for line in order.facts.lines
    ]
    return [
        ReserveStock(
            operation_id=order.operation("reserve"),
            expires_at=order.deadline_at,
            order_id=order.order_id,
            lines=wanted,
        )
    ]


def redeem(order: Checkout, trigger: object, now: datetime) -> Sent:
    """The stock is held: redeem the coupon. Raises ValueError without one."""
    coupon, redeemer = order.facts.coupon, order.facts.redeemer
    if coupon is None or redeemer is None:
        raise ValueError(f"order {order.order_id} has no coupon to redeem")
    return [
        RedeemPromotions(
            operation_id=order.operation("redeem"),
            expires_at=order.deadline_at,
            order_id=order.order_id,
            customer_id=order.customer_id,
            redeemer=redeemer,
            code=coupon.code,
            discount=order.money(coupon.discount_amount),
        )
    ]


def collect(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Stock and coupon are held: collect the money."""
    payment = order.facts.payment
    return [
        CollectPayment(
            operation_id=order.operation("collect"),
            expires_at=order.deadline_at,
            order_id=order.order_id,
            order_number=order.order_number,
            amount=order.money(order.total_amount),
            method=order.payment_method,
            token=payment.token,
            saved_method_id=payment.saved_method_id,
            customer_id=order.customer_id,
            access_hash=order.access_hash,
            capture=payment.capture,
        )
    ]


def await_customer(order: Checkout, event: PaymentActionRequired, now: datetime) -> Sent:
    """The customer must act: their client requests the action from payments."""
    if event.payment_id is None:
        return []
    order.payment_id = event.payment_id
    required = CustomerActionRequired(
        **order.reference, payment_id=event.payment_id, expires_at=order.deadline_at or now
    )
    return [order.record(required)]


def confirm(order: Checkout, trigger: object, now: datetime) -> Sent:
    """The pivot: from here on the order is fulfilled, not undone."""
    if not order.is_due():
        order.payment_status = PaymentStatus.PAID
    order.confirmed_at = now
    order.set_status(Status.CONFIRMED)
    total = order.money(order.total_amount)
    event = OrderConfirmed(
        **order.reference,
        cart_id=order.cart_id,
        lines=order.facts.lines,
        total=total,
        payment_method=order.payment_method,
        coupon_code=order.facts.coupon.code if order.facts.coupon else None,
        confirmed_at=now,
    )
    items = "\n".join(f"{item.quantity} x {item.name}" for item in order.facts.items)
    notice = build_notice(order, "order_confirmation", items=items, total=total)
    return [order.record(event), *create_shipments(order, trigger, now), notice]


def create_shipments(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Create the parcels. Raises ValueError when no allocations are stored."""
    if order.progress.allocations is None:
        raise ValueError(f"order {order.order_id} has no allocations")
    collect_at_door = order.payment_method == "cod" and order.is_due()
    return [
        CreateShipments(
            operation_id=order.operation(f"ship {order.progress.reviews}"),
            order_id=order.order_id,
            order_number=order.order_number,
            customer_id=order.customer_id,
            access_hash=order.access_hash,
            ship_to=order.facts.ship_to,
            shipping_method_id=order.facts.shipping_method_id,
            allocations=order.progress.allocations,
            placed_at=order.placed_at,
            lead_time_days=order.facts.lead_time_days,
            shipping=order.money(order.shipping_amount),
            collect=order.money(order.total_amount) if collect_at_door else None,
        )
    ]


def ship_reviewed(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Create the parcels as a new operation, since shipping has answered the old one."""
    order.progress.reviews += 1
    return create_shipments(order, trigger, now)


def capture(order: Checkout, trigger: object, now: datetime) -> Sent:
    return [CapturePayment(operation_id=order.operation("capture"), order_id=order.order_id)]


# While an order stands.


def publish_payment_change(order: Checkout, trigger: object, now: datetime) -> Sent:
    event = OrderPaymentChanged(**order.reference, payment_status=order.payment_status.value)
    return [order.record(event)]


def publish_refund(order: Checkout, event: PaymentRefunded, now: datetime) -> Sent:
    return [*publish_payment_change(order, event, now), refund_notice(order, event)]


def review_payment(order: Checkout, trigger: object, now: datetime) -> Sent:
    """The promised money is missing: staff decide; money that arrives settles it."""
    order.progress.review = "payment"
    return []


def review_cancelled_payment(order: Checkout, event: PaymentCancelled, now: datetime) -> Sent:
    order.progress.review = "payment"
    return publish_payment_change(order, event, now)


def review_parcels(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Parcels cannot be sent: staff decide."""
    order.progress.review = "parcels"
    return []


def review_refused_parcels(order: Checkout, trigger: PartlyRefused, now: datetime) -> Sent:
    """Some parcels were not accepted at the door: staff decide."""
    order.progress.refusal = "partly_refused"
    return review_parcels(order, trigger, now)


# Towards a cancelled order.


def release(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Release stock and coupon, as though neither had been released yet."""
    order.progress.stock_released = False
    order.progress.promotions_released = False
    return release_again(order, trigger, now)


def release_again(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Release what is still held."""
    sent: Sent = []
    if not order.progress.stock_released:
        sent.append(_release_stock(order, "release stock"))
    if order.has_coupon() and not order.progress.promotions_released:
        operation = order.operation("release promotions")
        sent.append(ReleasePromotions(operation_id=operation, order_id=order.order_id))
    return sent


def cancel_order(order: Checkout, trigger: object, now: datetime) -> Sent:
    """End the order without a sale; published once, even when late money reopened it."""
    if order.progress.cancellation_published:
        return []
    order.progress.cancellation_published = True
    reason = order.progress.reason or "timed_out"
    order.cancelled_at = now
    order.cancellation_reason = reason
    order.cancellation_state = "done"
    if order.payment_status in (PaymentStatus.PENDING, PaymentStatus.AUTHORIZED):
        order.payment_status = PaymentStatus.FAILED
    order.set_status(Status.CANCELLED, reason)
    event = OrderCancelled(
        **order.reference,
        cart_id=order.cart_id,
        reason=reason,
        cancelled_at=now,
        confirmed_at=order.confirmed_at,
    )
    return [order.record(event), build_notice(order, "order_cancelled", reason=reason)]


def cancel_payment(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Cancel the payment: a failure is never assumed, payments' reply decides."""
    return [CancelPayment(operation_id=order.operation("cancel payment"), order_id=order.order_id)]


def refund(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Refund what is left: one operation until it succeeds or staff refund a part."""
    operation = f"refund {order.captured_amount} less {order.refunded_amount}"
    reason = order.progress.reason or "cancelled"
    return [_refund(order, operation, order.unrefunded_amount, reason)]


def release_refunded(order: Checkout, event: PaymentRefunded, now: datetime) -> Sent:
    """The money went back: release the rest, and notify the customer."""
    return [*release(order, event, now), refund_notice(order, event)]


def recall(order: Checkout, trigger: object, now: datetime) -> Sent:
    """Recall the parcels that have not left."""
    return [CancelShipments(operation_id=order.operation("recall"), order_id=order.order_id)]


def refuse_cancellation(order: Checkout, trigger: object, now: datetime) -> Sent:
    """All parcels have left: the order stands."""
    order.cancellation_state = "refused"
    return []


def review_refused_cancellation(order: Checkout, trigger: object, now: datetime) -> Sent:
    """All parcels have left and none was paid for: staff decide."""
    order.progress.review = "payment"
    return refuse_cancellation(order, trigger, now)


def refund_unsent(order: Checkout, event: ShipmentsPartlyCancelled, now: datetime) -> Sent:
    """Some parcels have left: refund and release the pieces of the others."""
    order.cancellation_state = "done"
    pieces = Counter[UUID]()
    for part in event.unsent:
        pieces[part.line_id] += part.quantity
    return _refund_part(order, order.refund_pieces(pieces), "unsent")


def review_unsent(order: Checkout, event: ShipmentsPartlyCancelled, now: datetime) -> Sent:
    """Some parcels have left and none was paid for: release the others; staff decide."""
    order.progress.review = "payment"
    return refund_unsent(order, event, now)


def refund_reviewed(order: Checkout, decision: ReviewRefund, now: datetime) -> Sent:
    """Staff decided: refund the lines that cannot be sent."""
    return _refund_part(order, decision.amount, "review")


def restock(order: Checkout, trigger: RefusedAtDoor, now: datetime) -> Sent:
    """The parcels were refused at the door: their pieces are restocked, and nothing is due.

    Raises ValueError when no allocations are stored.
    """
    order.progress.refusal = "refused"
    if order.progress.allocations is None:
        raise ValueError(f"order {order.order_id} has no allocations")
    command = RestockUnits(
        operation_id=order.operation("restock"),
        order_id=order.order_id,
        lines=order.progress.allocations,
        reason="refused at the door",
    )
    return [command, *cancel_payment(order, trigger, now)]


def _release_stock(order: Checkout, operation: str) -> ReleaseStock:
    return ReleaseStock(operation_id=order.operation(operation), order_id=order.order_id)


def _refund(order: Checkout, operation: str, amount: int, reason: str) -> RefundPayment:
    return RefundPayment(
        operation_id=order.operation(operation),
        order_id=order.order_id,
        amount=order.money(amount),
        reason=reason,
    )


def _refund_part(order: Checkout, amount: int, reason: str) -> Sent:
    """Refund a part, never more than is left, and release the stock that is not sent."""
    released = _release_stock(order, "release unsent")
    capped = min(amount, order.unrefunded_amount)
    if capped <= 0:
        return [released]
    operation = f"refund {reason} {order.refunded_amount}"
    return [_refund(order, operation, capped, reason), released]


# Notices to the customer.


def build_notice(order: Checkout, kind: NotificationType, **facts: str | int | Money) -> Notify:
    """A notice about an order, the same operation for every repetition."""
    return Notify(
        operation_id=order.operation(f"notify {kind}"),
        type=kind,
        user_id=order.user_id,
        recipient=order.facts.email,
        reference_type="order",
        reference_id=order.order_id,
        facts={
            "name": order.facts.ship_to.recipient_name,
            "order_number": order.order_number,
            **facts,
        },
    )


def refund_notice(order: Checkout, event: PaymentRefunded) -> Notify:
    """The notice about one refund, by the operation that made it."""
    notice = build_notice(order, "refund", refund=event.refunded)
    operation = event.operation_id or order.operation(f"refund {event.refunded_total.amount}")
    return notice.model_copy(update={"reference_type": "refund", "reference_id": operation})
