"""What each move of the saga sends. A step changes the checkout and returns messages; no I/O."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.address import Address
from contracts.inventory import (
    Allocation,
    ReleaseStock,
    ReserveStock,
    RestockUnits,
    StockReserved,
    WantedLine,
)
from contracts.message import Message
from contracts.money import Money
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
    PaymentAuthorized,
    PaymentCaptured,
    PaymentRefunded,
    RefundPayment,
)
from contracts.promotions import RedeemPromotions, ReleasePromotions
from contracts.shipping import CancelShipments, CreateShipments, ShipmentsPartlyCancelled

from orders.domain.checkout import Checkout
from orders.domain.order import PaymentStatus, Status
from orders.saga.notices import cancelled_notice, confirmed_notice, refund_notice
from orders.saga.triggers import CancelRequested, ReviewRefund

Sent = list[Message]


def placed(order: Checkout, heard: object, now: datetime) -> Sent:
    """Tell that the order was placed, and ask for its stock."""
    wanted = [
        WantedLine(line_id=line.line_id, variant_id=line.variant_id, quantity=line.quantity)
        for line in order.lines()
    ]
    return [
        order.say(
            OrderPlaced(
                order_id=order.order_id,
                order_number=order.order_number,
                customer_id=order.customer_id,
                cart_id=order.cart_id,
                lines=order.lines(),
                total=order.money(order.total_amount),
                payment_method=order.payment_method,
                placed_at=order.placed_at,
            )
        ),
        ReserveStock(
            operation_id=order.operation("reserve"),
            expires_at=order.deadline_at,
            order_id=order.order_id,
            lines=wanted,
        ),
    ]


def keep_allocations(order: Checkout, heard: object) -> None:
    """Remember which warehouse promised what."""
    if isinstance(heard, StockReserved):
        order.progress["allocations"] = [a.model_dump(mode="json") for a in heard.allocations]


def redeem(order: Checkout, heard: object, now: datetime) -> Sent:
    """The stock is held: ask for the coupon."""
    keep_allocations(order, heard)
    coupon = order.facts["coupon"]
    return [
        RedeemPromotions(
            operation_id=order.operation("redeem"),
            expires_at=order.deadline_at,
            order_id=order.order_id,
            customer_id=order.customer_id,
            redeemer=order.facts["redeemer"],
            code=coupon["code"],
            discount=order.money(coupon["discount_amount"]),
        )
    ]


def collect(order: Checkout, heard: object, now: datetime) -> Sent:
    """Everything is held: ask for the money."""
    keep_allocations(order, heard)
    payment: dict[str, Any] = order.facts["payment"]
    return [
        CollectPayment(
            operation_id=order.operation("collect"),
            expires_at=order.deadline_at,
            order_id=order.order_id,
            order_number=order.order_number,
            amount=order.money(order.total_amount),
            method=order.payment_method,
            token=payment.get("token"),
            saved_method_id=payment.get("saved_method_id"),
            customer_id=order.customer_id,
            access_hash=order.access_hash,
            capture=payment["capture"],
        )
    ]


def await_customer(order: Checkout, heard: object, now: datetime) -> Sent:
    """The customer must act: tell their client to ask payments what to do."""
    if not isinstance(heard, PaymentActionRequired) or heard.payment_id is None:
        return []
    order.payment_id = heard.payment_id
    return [
        order.say(
            CustomerActionRequired(
                order_id=order.order_id,
                order_number=order.order_number,
                customer_id=order.customer_id,
                payment_id=heard.payment_id,
                expires_at=order.deadline_at or now,
            )
        )
    ]


def note_payment(order: Checkout, heard: object) -> None:
    """Remember how it was paid."""
    if isinstance(heard, PaymentCaptured | PaymentAuthorized):
        order.payment_id = heard.payment_id
        order.payment_brand = heard.brand
        order.payment_last_four = heard.last_four
        order.payment_reference = heard.reference
    if isinstance(heard, PaymentAuthorized) and order.payment_status is PaymentStatus.PENDING:
        order.payment_status = PaymentStatus.AUTHORIZED


def confirm(order: Checkout, heard: object, now: datetime) -> Sent:
    """The pivot: from here on the order is fulfilled, not undone."""
    keep_allocations(order, heard)
    if not order.is_due:
        order.payment_status = PaymentStatus.PAID
    order.confirmed_at = now
    order.become(Status.CONFIRMED)
    return [
        order.say(
            OrderConfirmed(
                order_id=order.order_id,
                order_number=order.order_number,
                customer_id=order.customer_id,
                cart_id=order.cart_id,
                lines=order.lines(),
                total=order.money(order.total_amount),
                payment_method=order.payment_method,
                coupon_code=order.facts["coupon"]["code"] if order.has_coupon else None,
                confirmed_at=now,
            )
        ),
        *create_shipments(order, heard, now),
        *confirmed_notice(order),
    ]


def create_shipments(order: Checkout, heard: object, now: datetime) -> Sent:
    """Ask for the parcels, again and again until they are there."""
    allocations = [Allocation.model_validate(a) for a in order.progress["allocations"]]
    collect_at_door = order.payment_method == "cod" and order.is_due
    return [
        CreateShipments(
            operation_id=order.operation(f"ship {order.progress.get('reviews', 0)}"),
            order_id=order.order_id,
            order_number=order.order_number,
            customer_id=order.customer_id,
            access_hash=order.access_hash,
            ship_to=Address.model_validate(order.facts["ship_to"]),
            shipping_method_id=UUID(order.facts["shipping_method_id"]),
            allocations=allocations,
            placed_at=order.placed_at,
            lead_time_days=order.facts["lead_time_days"],
            shipping=order.money(order.shipping_amount),
            collect=order.money(order.total_amount) if collect_at_door else None,
        )
    ]


def ship_reviewed(order: Checkout, heard: object, now: datetime) -> Sent:
    """Staff want the parcels tried anew: a new operation, since the old one has its answer."""
    order.progress["reviews"] = order.progress.get("reviews", 0) + 1
    return create_shipments(order, heard, now)


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
        order.say(
            OrderCancelled(
                order_id=order.order_id,
                order_number=order.order_number,
                customer_id=order.customer_id,
                cart_id=order.cart_id,
                reason=reason,
                cancelled_at=now,
            )
        ),
        *cancelled_notice(order),
    ]


def cancel_payment(order: Checkout, heard: object, now: datetime) -> Sent:
    """Never assume that a payment failed: ask for it to be cancelled, and hear what became of it."""
    if isinstance(heard, CancelRequested):
        order.cancellation_state = "requested"
    return [CancelPayment(operation_id=order.operation("cancel payment"), order_id=order.order_id)]


def refund(order: Checkout, heard: object, now: datetime) -> Sent:
    """Give back all that was captured; the same operation until it is done."""
    return [
        RefundPayment(
            operation_id=order.operation(f"refund {order.captured_amount}"),
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
    bought = {line.line_id: line for line in order.lines()}
    amount = sum(
        bought[kept.line_id].total_amount * kept.quantity // bought[kept.line_id].quantity
        for kept in heard.unsent
    )
    return [
        *partial_refund(order, order.money(amount), "unsent"),
        ReleaseStock(operation_id=order.operation("release unsent"), order_id=order.order_id),
    ]


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
    """The parcel was refused at the door: its pieces return to their shelves, and nothing is due."""
    lines = [Allocation.model_validate(a) for a in order.progress["allocations"]]
    restock = RestockUnits(
        operation_id=order.operation("restock"),
        order_id=order.order_id,
        lines=lines,
        reason="refused at the door",
    )
    return [restock, *cancel_payment(order, heard, now)]


def capture(order: Checkout, heard: object, now: datetime) -> Sent:
    """Take the authorised money."""
    return [CapturePayment(operation_id=order.operation("capture"), order_id=order.order_id)]


def tell_payment(order: Checkout, heard: object, now: datetime) -> Sent:
    """Tell what became known of the money of an order that stands."""
    notice = refund_notice(order, heard) if isinstance(heard, PaymentRefunded) else []
    return [
        order.say(
            OrderPaymentChanged(
                order_id=order.order_id,
                order_number=order.order_number,
                customer_id=order.customer_id,
                payment_status=order.payment_status.value,
            )
        ),
        *notice,
    ]


def nothing(order: Checkout, heard: object, now: datetime) -> Sent:
    """Nothing needs to be sent."""
    return []


def repeat_after(order: Checkout, base: float) -> timedelta:
    """The wait before a repetition: doubled each time, at most an hour."""
    return timedelta(seconds=min(base * 2 ** min(order.repeats, 12), 3600))
