"""Checkout: POST /v1/orders locks a cart, copies its prices and begins the order's saga."""

import asyncio
import json
import re
import time
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from pydantic import EmailStr, Field, model_validator
from sqlalchemy import true

from chassis import context, outbox
from chassis.addresses import AddressBody
from chassis.auth import Caller, MaybeCaller
from chassis.client import PeerUnavailable
from chassis.constraints import violations_as
from chassis.errors import (
    Declarable,
    Forbidden,
    Gone,
    Invalid,
    Malformed,
    NotFound,
    Refused,
    Unauthenticated,
    refuses,
)
from chassis.idempotency import Claim, idempotent
from chassis.ids import utcnow
from chassis.service import Running
from chassis.tokens import hash_of
from chassis.wire import Body, Id, MoneyBody, SafeText
from contracts.cart import LockedCart
from contracts.orders import OrderedLine
from contracts.payments import CaptureMoment
from orders.api.orders import LineView, OrderView, order_token, read_view
from orders.domain.checkout import Checkout, Facts, Item, PaymentFacts
from orders.domain.order import CartAlreadyOrdered, OrderNotFound, Stage, Status
from orders.saga import engine
from orders.settings import OrdersSettings
from orders.store import orders as store

router = APIRouter(prefix="/v1/orders")

# The longest time without a wake-up before an order is read all the same, in seconds.
POLL_INTERVAL: Final = 1.0
# By then parcels have moved, and lines with them.
MOVED_ON: Final = (Status.SHIPPED, Status.DELIVERED, Status.RETURNED)

CartToken = Annotated[
    str | None,
    Header(alias="X-Cart-Token", max_length=200, description="A guest's cart token"),
]
Preference = Annotated[
    str | None,
    Header(alias="Prefer", max_length=100, description="`wait=N`: answer with the outcome"),
]
ProviderToken = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+$")]
Email = Annotated[EmailStr, Field(max_length=255)]


class PaymentBody(Body):
    """How the customer pays: a token of the provider or a saved method, never a card number."""

    method: Literal["card", "paypal", "wallet", "cod", "bank_transfer"]
    token: ProviderToken | None = None
    saved_method_id: Id | None = None

    @model_validator(mode="after")
    def _has_one_instrument(self) -> "PaymentBody":
        needs_one = self.method in ("card", "paypal", "wallet")
        if needs_one and (self.token is None) == (self.saved_method_id is None):
            raise ValueError("give either token or saved_method_id")
        digits = "".join(c for c in self.token or "" if c.isdigit())
        if len(digits) >= 13 and digits == (self.token or "").replace("-", ""):  # noqa: PLR2004
            raise ValueError("a card number is not accepted")
        return self


class CheckoutBody(Body):
    """A checkout: the cart, how it is paid, and whatever the cart does not hold yet."""

    cart_id: Id
    payment: PaymentBody
    expected_total: MoneyBody | None = None
    email: Email | None = None
    shipping_address: AddressBody | None = None
    billing_address: AddressBody | None = None
    shipping_method_id: Id | None = None
    coupon_code: Annotated[SafeText, Field(min_length=1, max_length=50)] | None = None


class StoredOrder(OrderView):
    """The response as it is stored for repeats: whether there is a token, not which."""

    guest: bool


# What cart refuses, which becomes the client's refusal (tests/architecture compares them).
OF_CART: Final[tuple[Declarable, ...]] = (
    NotFound,
    NotFound(code="coupon_unknown"),
    Gone(code="cart_expired"),
    *(
        Refused(code=code)
        for code in (
            "coupon_disabled", "coupon_not_started", "coupon_ended", "coupon_used_up",
            "coupon_used_up_by_customer", "coupon_minimum_not_reached", "currency_mismatch",
            "cart_busy", "cart_converted", "cart_empty", "cart_full", "cart_locked",
            "insufficient_stock", "line_unavailable", "total_changed",
        )
    ),
    *(
        Invalid(code=code)
        for code in (
            "address_missing", "email_missing", "no_shipping_zone", "shipping_method_missing",
            "shipping_method_unavailable",
        )
    ),
)  # fmt: skip


class BadPrefer(Malformed):
    """Prefer must be wait=N with whole seconds."""

    code = "bad_prefer"


class CustomerInactive(Forbidden):
    """You may not buy at present; write to us."""

    code = "customer_inactive"


@refuses(CustomerInactive, Unauthenticated)
async def checkout_principal(caller: MaybeCaller, cart_token: CartToken = None) -> str:
    """The owner of idempotency keys: the user, who may buy, or the guest by their cart."""
    if caller is not None:
        if not caller.may_buy:
            raise CustomerInactive
        return caller.principal
    if cart_token:
        return f"cart:{hash_of(cart_token)}"
    raise Unauthenticated("Sign in, or send the X-Cart-Token of your cart.")


def with_token(request: Request, stored: bytes) -> bytes:
    """Add a guest's order token to a stored response: it is derived, never stored."""
    body = json.loads(stored)
    if body.pop("guest", False):
        secret = request.app.state.settings.order_token_secret
        body["order_token"] = order_token(secret, UUID(body["id"]))
    return json.dumps(body).encode()


@router.post(
    "",
    status_code=202,
    response_model=OrderView,
    responses={200: {"model": OrderView, "description": "The order has ended its checkout"}},
)
@refuses(*OF_CART, BadPrefer, CartAlreadyOrdered, OrderNotFound, PeerUnavailable)
async def place_order(
    body: CheckoutBody,
    request: Request,
    claim: Annotated[Claim, idempotent(checkout_principal, revise=with_token)],
    caller: MaybeCaller,
    cart_token: CartToken = None,
    wait: Preference = None,
) -> Response:
    """Check out a cart. Answers 202 at once, or the order's outcome with `Prefer: wait=N`."""
    state: Running[OrdersSettings] = request.app.state
    order_id, settings = claim.resource_id, state.settings
    seconds = preferred_wait(wait, settings.longest_wait)
    context.set_correlation_id(str(order_id))
    cart = await lock_cart(state, body, order_id, request, cart_token)
    now = utcnow()
    number = await state.resources.numbers.take(now)
    order = begin_checkout(order_id, number, cart, body.payment, caller, settings, now)
    lines = line_rows(order_id, cart)
    # The start numbers OrderPlaced, so it comes before the row that stores the sequence.
    transition = engine.start(order, now, settings.deadlines)
    row = store.new_order_row(order, agreed_columns(cart, order, caller))
    shown = [LineView.model_validate(line) for line in lines]
    view = OrderView.of(row, order.stage, shown, shipments=[])
    async with state.resources.watch.on(order_id) as woken:
        with violations_as(uq_orders_live_cart_id=CartAlreadyOrdered):
            async with state.database.transaction() as tx:
                # The key first: a request that lost its lease must not report the cart as taken.
                stored = await claim.store(tx, 202, StoredOrder(**dict(view), guest=caller is None))
                await store.insert_checkout(tx, row, lines, store.LogEntry(order, transition))
                outbox.add(tx, *transition.sent)
        ended = await wait_for_outcome(state, view, woken, seconds) if seconds else None
    headers = {"Location": f"/v1/orders/{order_id}"}
    if ended is None:
        content = with_token(request, bytes(stored.body))
        return Response(content, 202, headers, "application/json")
    if caller is None:
        ended.order_token = order_token(settings.order_token_secret, order_id)
    headers["Preference-Applied"] = f"wait={seconds}"
    return Response(ended.model_dump_json(), 200, headers, "application/json")


async def lock_cart(
    state: Running[OrdersSettings],
    body: CheckoutBody,
    order_id: UUID,
    request: Request,
    cart_token: str | None,
) -> LockedCart:
    """Have cart price and lock the cart for this order; its refusals become the client's."""
    bearer = request.headers.get("authorization", "")
    wishes = body.model_dump(mode="json", exclude={"cart_id", "payment"}, exclude_none=True)
    locked = await state.peers.request(
        "POST",
        f"{state.settings.cart_url}/internal/carts/{body.cart_id}/lock",
        body={"order_id": str(order_id), **wishes},
        caller_token=bearer.partition(" ")[2] or None,
        headers={"x-cart-token": cart_token} if cart_token else None,
    )
    return LockedCart.model_validate(locked)


def begin_checkout(
    order_id: UUID,
    number: str,
    cart: LockedCart,
    payment: PaymentBody,
    caller: Caller | None,
    settings: OrdersSettings,
    now: datetime,
) -> Checkout:
    """A new checkout of a locked cart, whose prices are copied; its saga has not begun."""
    lines = [
        OrderedLine(**line.model_dump(include=set(OrderedLine.model_fields))) for line in cart.lines
    ]
    facts = Facts(
        lines=lines,
        items=[Item(name=line.product_name, quantity=line.quantity) for line in cart.lines],
        ship_to=cart.ship_to,
        email=str(caller.email if caller else cart.email).lower(),
        coupon=cart.coupon,
        redeemer=cart.redeemer,
        shipping_method_id=cart.shipping_method.id,
        lead_time_days=max(line.lead_time_days for line in cart.lines),
        payment=PaymentFacts(
            token=payment.token,
            saved_method_id=payment.saved_method_id,
            capture=capture_moment(payment, settings),
        ),
        # Without the guest's token: only the release before this one reads it.
        link=f"{settings.public_url}/orders/{order_id}",
        traceparent=context.current().traceparent,
    )
    token = order_token(settings.order_token_secret, order_id)
    return Checkout(
        order_id=order_id,
        order_number=number,
        cart_id=cart.cart_id,
        customer_id=caller.customer_id if caller else None,
        user_id=caller.id if caller else None,
        access_hash=None if caller else hash_of(token),
        currency=cart.currency,
        shipping_amount=cart.shipping_amount,
        total_amount=cart.total_amount,
        payment_method=payment.method,
        placed_at=now,
        facts=facts,
    )


def capture_moment(payment: PaymentBody, settings: OrdersSettings) -> CaptureMoment:
    """When the money is captured, by method."""
    if payment.method == "cod":
        return "on_delivery"
    if settings.capture_on_shipment and payment.method == "card":
        return "on_shipment"
    return "now"


def agreed_columns(cart: LockedCart, order: Checkout, caller: Caller | None) -> dict[str, Any]:
    """The columns of the order that its saga does not carry."""
    principal = caller.principal if caller else "guest"
    return {
        **cart.model_dump(include={"subtotal_amount", "discount_amount", "tax_amount"}),
        **cart.model_dump(mode="json", include={"ship_to", "bill_to", "shipping_method"}),
        "contact_email": order.facts.email,
        "coupon_code": cart.coupon.code if cart.coupon else None,
        "coupon_id": cart.coupon.coupon_id if cart.coupon else None,
        "created_by": principal,
        "updated_by": principal,
    }


def line_rows(order_id: UUID, cart: LockedCart) -> list[dict[str, Any]]:
    """The rows of the order's lines, in the order of the cart."""
    return [
        {
            **line.model_dump(exclude={"line_id", "item_id"}),
            "id": line.line_id,
            "order_id": order_id,
            "position": position,
        }
        for position, line in enumerate(cart.lines, start=1)
    ]


def preferred_wait(prefer: str | None, longest: float) -> int:
    """The seconds a client is ready to wait (RFC 7240); 0 without the preference."""
    if prefer is None:
        return 0
    for part in prefer.split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() != "wait":
            continue
        if not re.fullmatch(r"[0-9]{1,4}", value.strip()):
            raise BadPrefer
        return int(min(int(value), longest))
    return 0


async def wait_for_outcome(
    state: Running[OrdersSettings], placed: OrderView, woken: asyncio.Event, seconds: float
) -> OrderView | None:
    """The order once its outcome is known or its customer must act; None when that takes longer."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(min(left, POLL_INTERVAL)):
                await woken.wait()
            woken.clear()
        except TimeoutError:
            pass
        order = await store.poll_order(state.database, placed.id)
        if order["status"] in MOVED_ON:
            async with state.database.transaction() as tx:
                return await read_view(tx, placed.id, true())
        if order["status"] != Status.PENDING or order["stage"] == Stage.AWAITING_CUSTOMER:
            return OrderView.of(order, order["stage"], placed.lines, placed.shipments)
    return None
