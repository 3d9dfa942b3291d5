"""The moves towards a delivered order: a step changes the checkout and returns messages."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.address import Address
from contracts.inventory import Allocation, ReserveStock, StockReserved, WantedLine
from contracts.message import Message
from contracts.orders import (
    CustomerActionRequired,
    OrderConfirmed,
    OrderPaymentChanged,
    OrderPlaced,
)
from contracts.payments import (
    CaptureFailed,
    CapturePayment,
    CollectPayment,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentRefunded,
)
from contracts.promotions import RedeemPromotions
from contracts.shipping import CreateShipments
from orders.domain.checkout import Checkout
from orders.domain.order import PaymentStatus, Status
from orders.saga.notices import confirmed_notice, refund_notice

Sent = list[Message]


def placed(order: Checkout, heard: object, now: datetime) -> Sent:
    """Tell that the order was placed, and ask for its stock."""
    return [
        order.record(
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
        *reserve(order, heard, now),
    ]


def reserve(order: Checkout, heard: object, now: datetime) -> Sent:
    """Ask for the stock of all lines."""
    wanted = [
        WantedLine(line_id=line.line_id, variant_id=line.variant_id, quantity=line.quantity)
        for line in order.lines()
    ]
    return [
        ReserveStock(
            operation_id=order.operation("reserve"),
            expires_at=order.deadline_at,
            order_id=order.order_id,
            lines=wanted,
        )
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
        order.record(
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
    if isinstance(heard, PaymentCancelled | CaptureFailed):
        order.progress["promise_broken"] = True
    if isinstance(heard, PaymentCancelled) and order.payment_status is PaymentStatus.AUTHORIZED:
        order.payment_status = PaymentStatus.FAILED


def confirm(order: Checkout, heard: object, now: datetime) -> Sent:
    """The pivot: from here on the order is fulfilled, not undone."""
    keep_allocations(order, heard)
    if not order.is_due:
        order.payment_status = PaymentStatus.PAID
    order.confirmed_at = now
    order.become(Status.CONFIRMED)
    return [
        order.record(
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


def capture(order: Checkout, heard: object, now: datetime) -> Sent:
    """Take the authorised money."""
    return [CapturePayment(operation_id=order.operation("capture"), order_id=order.order_id)]


def tell_payment(order: Checkout, heard: object, now: datetime) -> Sent:
    """Tell what became known of the money of an order that stands."""
    notice = refund_notice(order, heard) if isinstance(heard, PaymentRefunded) else []
    return [
        order.record(
            OrderPaymentChanged(
                order_id=order.order_id,
                order_number=order.order_number,
                customer_id=order.customer_id,
                payment_status=order.payment_status.value,
            )
        ),
        *notice,
    ]


def review_payment(order: Checkout, heard: object, now: datetime) -> Sent:
    """The money that was promised is missing: staff decide; money that arrives settles it."""
    order.progress["review"] = "payment"
    return tell_payment(order, heard, now) if isinstance(heard, PaymentCancelled) else []


def review_parcels(order: Checkout, heard: object, now: datetime) -> Sent:
    """Parcels cannot be sent or were not all accepted: staff decide."""
    order.progress["review"] = "parcels"
    return []


def nothing(order: Checkout, heard: object, now: datetime) -> Sent:
    """Nothing needs to be sent."""
    return []


def repeat_after(order: Checkout, base: float) -> timedelta:
    """The wait before a repetition: doubled each time, at most an hour."""
    return timedelta(seconds=min(base * 2 ** min(order.repeats, 12), 3600))
