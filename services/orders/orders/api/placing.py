"""Checkout over HTTP: POST /v1/orders."""

import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from chassis import context, outbox
from chassis.auth import MaybeCaller
from chassis.client import Peers
from chassis.constraints import violations_as
from chassis.idempotency import Claim, idempotent
from chassis.ids import utcnow
from chassis.openapi import refuses
from chassis.service import Running
from orders.api.access import CartToken, checkout_principal, order_token
from orders.api.following import Preference, final_view, preferred_wait
from orders.api.views import CheckoutBody, OrderView
from orders.checkout import begin_checkout
from orders.domain.refusals import CartAlreadyOrdered
from orders.saga.process import begin
from orders.settings import OrdersSettings
from orders.store import saving

router = APIRouter(prefix="/v1/orders")


def with_token(request: Request, answer: bytes) -> bytes:
    """Put a guest's order token back into a stored answer: it is derived, never kept."""
    body = json.loads(answer)
    if body.pop("guest", False):
        secret = request.app.state.settings.order_token_secret
        body["order_token"] = order_token(secret, UUID(body["id"]))
    return json.dumps(body).encode()


class StoredOrder(OrderView):
    """The answer as it is kept for repeats: it says that there is a token, not which."""

    guest: bool


@router.post(
    "",
    status_code=202,
    response_model=OrderView,
    responses={200: {"model": OrderView, "description": "The order has ended its checkout"}},
)
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
    seconds = preferred_wait(wait, state.settings.longest_wait)
    context.set_correlation_id(str(claim.resource_id))
    cart = await lock_cart(
        state.peers, state.settings, body, claim.resource_id, request, cart_token
    )
    now = utcnow()
    number = await state.resources.numbers.take(now)
    checkout, columns, lines = begin_checkout(
        claim.resource_id, number, cart, body, caller, state.settings, now
    )
    sent = begin(checkout, now, state.settings.deadlines)
    view = OrderView.placed(checkout, columns, lines)
    async with state.resources.watch.on(checkout.order_id) as woken:
        with violations_as(uq_orders_live_cart_id=CartAlreadyOrdered):
            async with state.database.transaction() as tx:
                # The key first: whoever lost its lease must not be told that the cart is taken.
                kept = StoredOrder(**dict(view), guest=caller is None)
                stored = await claim.store(tx, 202, kept)
                await saving.insert_checkout(tx, checkout, columns, lines, sent, now)
                outbox.add(tx, *sent)
        answer = Response(
            with_token(request, bytes(stored.body)),
            status_code=202,
            media_type="application/json",
            headers={"Location": f"/v1/orders/{checkout.order_id}"},
        )
        if not seconds:
            return answer
        ended = await final_view(state, view, woken, seconds)
    if ended is None:
        return answer
    token = None if caller else order_token(state.settings.order_token_secret, ended.id)
    return Response(
        ended.model_copy(update={"order_token": token}).model_dump_json(),
        media_type="application/json",
        headers={"Preference-Applied": f"wait={seconds}", "Location": answer.headers["Location"]},
    )


# What cart may refuse to lock, as its own document says (tests/architecture compares them).
@refuses(404, "not_found")
@refuses(404, "coupon_unknown")
@refuses(409, "coupon_disabled", "coupon_not_started", "coupon_ended", "coupon_used_up")
@refuses(409, "coupon_used_up_by_customer", "coupon_minimum_not_reached", "currency_mismatch")
@refuses(409, "cart_busy", "cart_converted", "cart_empty", "cart_full", "cart_locked")
@refuses(409, "insufficient_stock", "line_unavailable", "total_changed")
@refuses(410, "cart_expired")
@refuses(422, "address_missing", "email_missing", "no_shipping_zone")
@refuses(422, "shipping_method_missing", "shipping_method_unavailable")
async def lock_cart(
    peers: Peers,
    settings: OrdersSettings,
    body: CheckoutBody,
    order_id: UUID,
    request: Request,
    cart_token: str | None,
) -> Any:
    """Have the cart priced and locked for this order; its refusals are the client's answer."""
    bearer = request.headers.get("authorization", "")
    sent = body.model_dump(
        mode="json",
        include={
            "expected_total",
            "email",
            "shipping_address",
            "billing_address",
            "shipping_method_id",
            "coupon_code",
        },
        exclude_none=True,
    )
    return await peers.request(
        "POST",
        f"{settings.cart_url}/internal/carts/{body.cart_id}/lock",
        body={"order_id": str(order_id), **sent},
        caller_token=bearer.partition(" ")[2] or None,
        headers={"x-cart-token": cart_token} if cart_token else None,
    )
