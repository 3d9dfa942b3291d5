"""Reading, cancelling and claiming orders."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from chassis import etag, outbox
from chassis.auth import SignedIn
from chassis.db import Tx
from chassis.errors import Forbidden
from chassis.idempotency import Claim, idempotent
from chassis.ids import utcnow
from chassis.pages import Page, Paged
from chassis.tokens import hash_of
from orders.api.access import OrderToken, Owned, Visible, order_principal
from orders.api.following import read_view
from orders.api.views import CancellationBody, HistoryView, OrderSummary, OrderView
from orders.domain.checkout import Checkout
from orders.domain.order import Order, Stage, Status
from orders.domain.refusals import (
    AlreadyCancelled,
    AlreadyClaimed,
    OrderNotFound,
    RefundNotPermitted,
    TooLateToCancel,
)
from orders.saga.process import apply
from orders.saga.triggers import CancelRequested
from orders.settings import Deadlines
from orders.store import checkouts, saving
from orders.store import orders as store

router = APIRouter(prefix="/v1/orders")

UNDOING = frozenset({Stage.CANCELLING_PAYMENT, Stage.REFUNDING, Stage.RELEASING, Stage.RECALLING})


def summary_key(order: Order) -> tuple[datetime, UUID]:
    """Where an order stands in a list."""
    return order.placed_at, order.id


@router.get("")
async def list_orders(caller: SignedIn, paging: Paged, tx: Tx) -> Page[OrderSummary]:
    """The orders of the signed-in customer, newest first."""
    after = paging.position(datetime, UUID)
    rule = Order.customer_id == caller.customer_id
    rows = await store.list_orders(tx, rule, paging.limit, after)
    return paging.page(rows, OrderSummary.model_validate, summary_key)


@router.get("/{order_id}")
async def get_order(order_id: UUID, rule: Visible, tx: Tx, response: Response) -> OrderView:
    """One order, for its customer, the guest with its token, or staff."""
    view = await read_view(tx, order_id, rule)
    etag.set_header(response, view.version)
    return view


@router.get("/{order_id}/history")
async def get_history(order_id: UUID, rule: Visible, tx: Tx) -> list[HistoryView]:
    """Every change of the order's status, oldest first."""
    await store.get_order(tx, order_id, rule)
    return HistoryView.listed(list(await store.list_history(tx, order_id)))


@router.post("/{order_id}/cancellation", status_code=202, response_model=OrderView)
async def cancel_order(
    order_id: UUID,
    body: CancellationBody,
    request: Request,
    rule: Owned,
    claim: Annotated[Claim, idempotent(order_principal)],
    tx: Tx,
) -> Response:
    """Ask for an order to be cancelled; refused once a parcel was handed over."""
    await store.get_order(tx, order_id, rule)
    deadlines = request.app.state.settings.deadlines
    await cancel(tx, order_id, "customer_request", deadlines, may_refund=True)
    return await claim.store(tx, 202, await read_view(tx, order_id, rule))


async def cancel(
    tx: Tx, order_id: UUID, reason: str, deadlines: Deadlines, *, may_refund: bool
) -> Checkout:
    """Let the saga hear the request; `may_refund` as the person who asks may return money.

    Raises AlreadyCancelled, TooLateToCancel or RefundNotPermitted.
    """
    orders = await checkouts.lock_checkouts(tx, [order_id])
    if order_id not in orders:
        raise OrderNotFound
    order = orders[order_id]
    if order.status is Status.CANCELLED:
        raise AlreadyCancelled
    if order.is_handed_over and order.stage not in UNDOING:
        raise TooLateToCancel
    if order.kept_amount > 0 and not may_refund:
        raise RefundNotPermitted
    now = utcnow()
    heard = apply(order, CancelRequested(reason), now, deadlines)
    outbox.add(tx, *heard.sent)
    await saving.save_checkouts(tx, [order], now, [(order, heard, None)])
    return order


@router.post("/{order_id}/claim")
async def claim_order(
    order_id: UUID, caller: SignedIn, tx: Tx, token: OrderToken = None
) -> OrderView:
    """Move a guest's order to the account whose verified e-mail it was placed with."""
    if not caller.email_verified:
        raise Forbidden("Verify your e-mail address first.", code="email_unverified")
    if not await store.claim_order(tx, order_id, caller):
        rule = store.owned_by(caller, hash_of(token) if token else None)
        found = await store.get_order(tx, order_id, rule)
        if found.customer_id != caller.customer_id:
            raise AlreadyClaimed
    return await read_view(tx, order_id, Order.customer_id == caller.customer_id)
