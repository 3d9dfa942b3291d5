"""Orders for staff."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from sqlalchemy import true

from chassis import etag, outbox
from chassis.auth import SignedIn, require_permission
from chassis.db import Tx
from chassis.idempotency import Claim, idempotent
from chassis.ids import utcnow
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, SafeText
from orders.api.access import MayRefund
from orders.api.following import read_view
from orders.api.orders import cancel, summary_key
from orders.api.views import CancellationBody, OrderSummary, OrderView
from orders.domain.order import Stage, Status
from orders.domain.refusals import NothingToReview, OrderNotFound, RefundNotPermitted
from orders.saga.process import apply
from orders.saga.triggers import ReviewRefund, ReviewRetry
from orders.store import checkouts, saving
from orders.store import orders as store

router = APIRouter(prefix="/v1/admin")

MayRead = Depends(require_permission("orders:read"))
MayWrite = Depends(require_permission("orders:write"))


async def staff(caller: SignedIn) -> str:
    """Whose idempotency keys they are."""
    return caller.principal


@router.get("/orders", dependencies=[MayRead])
async def list_orders(
    paging: Paged,
    tx: Tx,
    status: Status | None = None,
    order_number: Annotated[SafeText | None, Query(max_length=20)] = None,
    customer_id: UUID | None = None,
) -> Page[OrderSummary]:
    """All orders, newest first."""
    given = {"status": status, "order_number": order_number, "customer_id": customer_id}
    filters = {name: value for name, value in given.items() if value is not None}
    after = paging.position(datetime, UUID)
    rows = await store.list_orders(tx, true(), paging.limit, after, **filters)
    return paging.page(rows, OrderSummary.model_validate, summary_key)


@router.get("/orders/{order_id}", dependencies=[MayRead])
async def get_order(order_id: UUID, tx: Tx, response: Response) -> OrderView:
    """Any order."""
    view = await read_view(tx, order_id, true())
    etag.set_header(response, view.version)
    return view


@router.post(
    "/orders/{order_id}/cancellation",
    status_code=202,
    response_model=OrderView,
    dependencies=[MayWrite],
)
async def cancel_order(
    order_id: UUID,
    body: CancellationBody,
    request: Request,
    claim: Annotated[Claim, idempotent(staff)],
    tx: Tx,
    may_refund: MayRefund,
) -> Response:
    """Cancel an order for its customer. A paid one needs the permission `orders:refund` too."""
    deadlines = request.app.state.settings.deadlines
    order = await cancel(tx, order_id, "staff_request", deadlines, may_refund=may_refund)
    await audit.record(tx, "order.cancel", order_id, "by hand", after={"stage": order.stage.value})
    return await claim.store(tx, 202, await read_view(tx, order_id, true()))


class ReviewBody(Body):
    """What is done with lines that could not be sent; `amount` in minor units for `refund`."""

    decision: Literal["retry", "refund"]
    amount: Annotated[int, Field(ge=1, le=10**12)] | None = None


@router.post(
    "/orders/{order_id}/review",
    status_code=202,
    response_model=OrderView,
    dependencies=[MayWrite],
)
async def review_order(
    order_id: UUID,
    body: ReviewBody,
    request: Request,
    claim: Annotated[Claim, idempotent(staff)],
    tx: Tx,
    may_refund: MayRefund,
) -> Response:
    """Decide about an order that waits for staff: try the parcels again, or give money back.

    A refund needs the permission `orders:refund` too.
    """
    if body.decision == "refund" and not may_refund:
        raise RefundNotPermitted
    found = await checkouts.lock_checkouts(tx, [order_id])
    if order_id not in found:
        raise OrderNotFound
    order = found[order_id]
    if order.stage is not Stage.NEEDS_REVIEW:
        raise NothingToReview
    now = utcnow()
    decided = ReviewRetry() if body.decision == "retry" else ReviewRefund(body.amount or 0)
    heard = apply(order, decided, now, request.app.state.settings.deadlines)
    outbox.add(tx, *heard.sent)
    await saving.save_checkouts(tx, [order], now, [(order, heard, None)])
    await audit.record(tx, "order.review", order_id, "by hand", after=body.model_dump())
    return await claim.store(tx, 202, await read_view(tx, order_id, true()))
