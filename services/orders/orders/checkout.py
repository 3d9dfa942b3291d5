"""Turning a locked cart into an order: copying its prices, never recomputing them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from chassis import context
from chassis.auth import Caller
from chassis.tokens import hash_of
from contracts.orders import OrderedLine
from orders.api.access import order_token
from orders.api.views import CheckoutBody
from orders.domain.checkout import Checkout
from orders.domain.order import PaymentStatus, Stage, Status
from orders.settings import OrdersSettings

LINE_FIELDS = (
    "variant_id",
    "product_id",
    "seller_id",
    "sku",
    "product_name",
    "variant_description",
    "unit_price_amount",
    "quantity",
    "discount_amount",
    "tax_amount",
    "total_amount",
)


def order_lines(order_id: UUID, cart: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the order's lines, as the cart froze them."""
    return [
        {
            **{name: line[name] for name in LINE_FIELDS},
            "id": UUID(line["line_id"]),
            "order_id": order_id,
            "position": position,
            "variant_id": UUID(line["variant_id"]),
            "product_id": UUID(line["product_id"]),
            "seller_id": UUID(line["seller_id"]) if line["seller_id"] else None,
            "lead_time_days": line["lead_time_days"],
            "customization": line["customization"],
        }
        for position, line in enumerate(cart["lines"], start=1)
    ]


def order_columns(cart: dict[str, Any], email: str, caller: Caller | None) -> dict[str, Any]:
    """The columns of the order that its saga does not carry."""
    coupon = cart["coupon"]
    principal = caller.principal if caller else "guest"
    return {
        "subtotal_amount": cart["subtotal_amount"],
        "discount_amount": cart["discount_amount"],
        "tax_amount": cart["tax_amount"],
        "ship_to": cart["ship_to"],
        "bill_to": cart["bill_to"],
        "contact_email": email,
        "shipping_method": cart["shipping_method"],
        "coupon_code": coupon["code"] if coupon else None,
        "coupon_id": UUID(coupon["coupon_id"]) if coupon else None,
        "created_by": principal,
        "updated_by": principal,
    }


def capture_moment(body: CheckoutBody, settings: OrdersSettings) -> str:
    """When the money is taken, by method."""
    if body.payment.method == "cod":
        return "on_delivery"
    if settings.capture_on_shipment and body.payment.method == "card":
        return "on_shipment"
    return "now"


def saga_facts(
    cart: dict[str, Any],
    lines: list[dict[str, Any]],
    body: CheckoutBody,
    email: str,
    link: str,
    settings: OrdersSettings,
) -> dict[str, Any]:
    """What the commands to come need to carry, as JSON."""
    ordered = [
        OrderedLine(
            line_id=line["id"],
            **{name: line[name] for name in LINE_FIELDS if name in OrderedLine.model_fields},
        )
        for line in lines
    ]
    saved = body.payment.saved_method_id
    return {
        "lines": [line.model_dump(mode="json") for line in ordered],
        "items": [{"name": line["product_name"], "quantity": line["quantity"]} for line in lines],
        "ship_to": cart["ship_to"],
        "email": email,
        "coupon": cart["coupon"],
        "redeemer": cart["redeemer"],
        "shipping_method_id": cart["shipping_method"]["id"],
        "lead_time_days": max(line["lead_time_days"] for line in lines),
        "payment": {
            "token": body.payment.token,
            "saved_method_id": str(saved) if saved else None,
            "capture": capture_moment(body, settings),
        },
        # Without the guest's token: only the release before this one reads it.
        "link": link,
        "traceparent": context.current().traceparent,
    }


def begin_checkout(
    order_id: UUID,
    number: str,
    cart: dict[str, Any],
    body: CheckoutBody,
    caller: Caller | None,
    settings: OrdersSettings,
    now: datetime,
) -> tuple[Checkout, dict[str, Any], list[dict[str, Any]]]:
    """A new checkout, the order's other columns and its lines; nothing is said yet."""
    email = str(caller.email if caller else cart["email"]).lower()
    lines = order_lines(order_id, cart)
    token = order_token(settings.order_token_secret, order_id)
    link = f"{settings.public_url}/orders/{order_id}"
    checkout = Checkout(
        order_id=order_id,
        order_number=number,
        cart_id=UUID(cart["cart_id"]),
        customer_id=caller.customer_id if caller else None,
        user_id=caller.id if caller else None,
        access_hash=None if caller else hash_of(token),
        status=Status.PENDING,
        payment_status=PaymentStatus.PENDING,
        currency=cart["currency"],
        shipping_amount=cart["shipping_amount"],
        total_amount=cart["total_amount"],
        captured_amount=0,
        refunded_amount=0,
        payment_method=body.payment.method,
        payment_id=None,
        payment_brand=None,
        payment_last_four=None,
        payment_reference=None,
        cancellation_state=None,
        placed_at=now,
        confirmed_at=None,
        cancelled_at=None,
        cancellation_reason=None,
        version=1,
        sequence=0,
        stage=Stage.RESERVING,
        deadline_at=None,
        repeats=0,
        facts=saga_facts(cart, lines, body, email, link, settings),
        progress={},
    )
    return checkout, order_columns(cart, email, caller), lines
