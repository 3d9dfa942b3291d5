"""Orders for staff, and what orders contributes to the reconciliation."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from sqlalchemy import true

from chassis import etag
from chassis.auth import SignedIn, require_permission
from chassis.db import Tx
from chassis.errors import refuses
from chassis.idempotency import Claim, idempotent
from chassis.ids import lowest_id
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, Moment, SafeText, View
from orders import service
from orders.api.orders import (
    CancellationBody,
    MayRefund,
    OrderSummary,
    OrderView,
    read_view,
    summary_key,
)
from orders.domain.checkout import ReviewRefund, ReviewRetry
from orders.domain.order import (
    AlreadyCancelled,
    NothingToReview,
    OrderNotFound,
    RefundNotPermitted,
    Stage,
    Status,
    TooLateToCancel,
)
from orders.store import orders as store
from orders.store import sagas

router = APIRouter(prefix="/v1/admin")
reconciliation = APIRouter(prefix="/v1/admin/ops/orders/reconciliation", tags=["reconciliation"])

MayRead = Depends(require_permission("orders:read"))
MayWrite = Depends(require_permission("orders:write"))
MayReconcile = Depends(require_permission("ops:read"))


async def staff(caller: SignedIn) -> str:
    """The owner of idempotency keys."""
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
@refuses(OrderNotFound)
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
@refuses(RefundNotPermitted, OrderNotFound, AlreadyCancelled, TooLateToCancel)
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
    order = await service.cancel_order(
        tx, order_id, "staff_request", deadlines, may_refund=may_refund
    )
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
@refuses(RefundNotPermitted, OrderNotFound, NothingToReview)
async def review_order(
    order_id: UUID,
    body: ReviewBody,
    request: Request,
    claim: Annotated[Claim, idempotent(staff)],
    tx: Tx,
    may_refund: MayRefund,
) -> Response:
    """Decide about an order that waits for staff: try the parcels again, or refund.

    A refund needs the permission `orders:refund` too.
    """
    if body.decision == "refund" and not may_refund:
        raise RefundNotPermitted
    order = await store.lock_checkout(tx, order_id)
    if order.stage is not Stage.NEEDS_REVIEW:
        raise NothingToReview
    decision = ReviewRetry() if body.decision == "retry" else ReviewRefund(body.amount or 0)
    await service.advance(tx, order, decision, request.app.state.settings.deadlines)
    await audit.record(tx, "order.review", order_id, "by hand", after=body.model_dump())
    return await claim.store(tx, 202, await read_view(tx, order_id, true()))


class OrderPosition(View):
    """An order as payments and shipping must show it; amounts are minor units of `currency`."""

    order_id: UUID
    order_number: str
    status: str
    stage: str
    payment_method: str
    currency: str
    total_amount: int
    captured_amount: int
    refunded_amount: int
    handed_over: bool
    updated_at: datetime


@reconciliation.get("", dependencies=[MayReconcile])
async def list_order_positions(
    paging: Paged,
    tx: Tx,
    since: Annotated[Moment | None, Query(description="orders placed from then on")] = None,
) -> Page[OrderPosition]:
    """Every order with its money as orders knows it, by the time it was placed."""
    rows = await sagas.list_positions(
        tx,
        since=lowest_id(since) if since else None,
        after=paging.position(UUID),
        limit=paging.limit,
    )
    return paging.page(rows, OrderPosition.model_validate, lambda row: row.order_id)
