"""Orders as clients see them, who may see them, and the routes to read, cancel and claim them."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field
from sqlalchemy import ColumnElement, RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag
from chassis.auth import Caller, MaybeCaller, SignedIn, has_permission
from chassis.db import Tx
from chassis.errors import Forbidden, Unauthenticated, refuses
from chassis.idempotency import Claim, idempotent
from chassis.pages import Page, Paged
from chassis.tokens import hash_of
from chassis.wire import Body, SafeText, View
from contracts.money import Money
from orders import service
from orders.domain.order import (
    AlreadyCancelled,
    AlreadyClaimed,
    OrderNotFound,
    Stage,
    TooLateToCancel,
    order_table,
)
from orders.store import orders as store

router = APIRouter(prefix="/v1/orders")

OrderToken = Annotated[
    str | None,
    Header(alias="X-Order-Token", max_length=200, description="A guest's order token"),
]


class EmailUnverified(Forbidden):
    """Verify your e-mail address first."""

    code = "email_unverified"


class LineView(View):
    """One line of an order; amounts in minor units, for all its pieces."""

    id: UUID
    variant_id: UUID
    product_id: UUID
    seller_id: UUID | None
    sku: str
    product_name: str
    variant_description: str
    unit_price_amount: int
    quantity: int
    discount_amount: int
    tax_amount: int
    total_amount: int
    quantity_shipped: int = 0
    quantity_returned: int = 0


class ShipmentView(View):
    """A parcel of an order."""

    shipment_id: UUID
    status: str
    carrier: str | None
    tracking_number: str | None


class PaymentView(View):
    """How an order is paid; on `action_required` `/v1/payments/{id}` returns the action."""

    id: UUID | None
    method: str
    status: str
    brand: str | None
    last_four: str | None
    reference: str | None
    action_required: bool
    captured_amount: int
    refunded_amount: int


class Cancellation(View):
    """How far a cancellation is."""

    state: Literal["requested", "done", "refused"] | None
    reason: str | None


class OrderView(View):
    """An order as its customer sees it."""

    id: UUID
    order_number: str
    cart_id: UUID
    status: str
    currency: str
    subtotal_amount: int
    discount_amount: int
    shipping_amount: int
    tax_amount: int
    total: Money
    email: str
    ship_to: dict[str, Any]
    bill_to: dict[str, Any]
    shipping_method: dict[str, Any]
    coupon_code: str | None
    payment: PaymentView
    cancellation: Cancellation
    lines: list[LineView]
    shipments: list[ShipmentView]
    placed_at: datetime
    confirmed_at: datetime | None
    cancelled_at: datetime | None
    version: int
    progress_url: str
    order_token: str | None = None

    @classmethod
    def of(
        cls,
        order: Mapping[str, Any] | RowMapping,
        stage: str,
        lines: list[LineView],
        shipments: list[ShipmentView],
    ) -> "OrderView":
        """The view of a row of `orders`, stored or about to be."""
        columns = {name: order[name] for name in cls.model_fields if name in order_table.c}
        return cls(
            **columns,
            total=Money(amount=order["total_amount"], currency=order["currency"]),
            email=order["contact_email"],
            payment=PaymentView(
                id=order["payment_id"],
                method=order["payment_method"],
                status=order["payment_status"],
                brand=order["payment_brand"],
                last_four=order["payment_last_four"],
                reference=order["payment_reference"],
                action_required=stage == Stage.AWAITING_CUSTOMER,
                captured_amount=order["captured_amount"],
                refunded_amount=order["refunded_amount"],
            ),
            cancellation=Cancellation(
                state=order["cancellation_state"], reason=order["cancellation_reason"]
            ),
            lines=lines,
            shipments=shipments,
            progress_url=f"/v1/orders/{order['id']}/progress",
        )


class OrderSummary(View):
    """An order in a list."""

    id: UUID
    order_number: str
    status: str
    payment_status: str
    currency: str
    total_amount: int
    placed_at: datetime


class HistoryView(View):
    """A change of an order's status."""

    from_status: str | None
    to_status: str
    at: datetime
    by: str
    reason: str | None


class CancellationBody(Body):
    """Why an order is cancelled, in the customer's words."""

    note: Annotated[SafeText, Field(max_length=500)] = ""


def order_token(secret: str, order_id: UUID) -> str:
    """A guest's order token: derived, so that a repeated checkout can return it again."""
    mac = hmac.digest(secret.encode(), order_id.bytes, "sha256")
    return "ord_" + base64.urlsafe_b64encode(mac).decode().rstrip("=")


@refuses(Unauthenticated)
async def order_principal(caller: MaybeCaller, token: OrderToken = None) -> str:
    """The owner of idempotency keys for an order: the user, or the guest by their order token."""
    if caller is not None:
        return caller.principal
    if token:
        return f"order:{hash_of(token)}"
    raise Unauthenticated("Sign in, or send the X-Order-Token of your order.")


def _required_hash(caller: Caller | None, token: str | None) -> str | None:
    if caller is None and token is None:
        raise Unauthenticated("Sign in, or send the X-Order-Token of your order.")
    return hash_of(token) if token else None


@refuses(Unauthenticated)
async def _visible(caller: MaybeCaller, token: OrderToken = None) -> ColumnElement[bool]:
    return store.visible_to(caller, _required_hash(caller, token))


@refuses(Unauthenticated)
async def _owned(caller: MaybeCaller, token: OrderToken = None) -> ColumnElement[bool]:
    return store.owned_by(caller, _required_hash(caller, token))


Visible = Annotated[ColumnElement[bool], Depends(_visible)]
"""The rule of who sees an order, to be put inside the query: its owner, or staff."""

Owned = Annotated[ColumnElement[bool], Depends(_owned)]
"""The rule of who changes an order as its customer; staff have routes of their own."""

MayRefund = Annotated[bool, Depends(has_permission("orders:refund"))]
"""Whether the caller may return money."""


async def read_view(tx: AsyncSession, order_id: UUID, rule: ColumnElement[bool]) -> OrderView:
    """The whole view of an order. Raises OrderNotFound for one that the rule hides."""
    order = await store.get_order(tx, order_id, rule)
    lines = await store.list_lines(tx, order_id)
    shipments = await store.list_shipments(tx, order_id)
    return OrderView.of(
        order,
        order["stage"],
        [LineView.model_validate(line) for line in lines],
        [ShipmentView.model_validate(shipment) for shipment in shipments],
    )


def summary_key(order: Any) -> tuple[datetime, UUID]:
    """An order's position in a list."""
    return order.placed_at, order.id


@router.get("")
async def list_orders(caller: SignedIn, paging: Paged, tx: Tx) -> Page[OrderSummary]:
    """The orders of the signed-in customer, newest first."""
    after = paging.position(datetime, UUID)
    rule = store.owned_by(caller, None)
    rows = await store.list_orders(tx, rule, paging.limit, after)
    return paging.page(rows, OrderSummary.model_validate, summary_key)


@router.get("/{order_id}")
@refuses(OrderNotFound)
async def get_order(order_id: UUID, rule: Visible, tx: Tx, response: Response) -> OrderView:
    """One order, for its customer, the guest with its token, or staff."""
    view = await read_view(tx, order_id, rule)
    etag.set_header(response, view.version)
    return view


@router.get("/{order_id}/history")
@refuses(OrderNotFound)
async def get_history(order_id: UUID, rule: Visible, tx: Tx) -> list[HistoryView]:
    """Every change of the order's status, oldest first."""
    await store.get_order(tx, order_id, rule)
    return [HistoryView.model_validate(row) for row in await store.list_history(tx, order_id)]


@router.post("/{order_id}/cancellation", status_code=202, response_model=OrderView)
@refuses(OrderNotFound, AlreadyCancelled, TooLateToCancel)
async def cancel_order(
    order_id: UUID,
    body: CancellationBody,
    request: Request,
    rule: Owned,
    claim: Annotated[Claim, idempotent(order_principal)],
    tx: Tx,
) -> Response:
    """Request the cancellation of an order; refused once a parcel was handed over."""
    await store.get_order(tx, order_id, rule)
    deadlines = request.app.state.settings.deadlines
    await service.cancel_order(tx, order_id, "customer_request", deadlines, may_refund=True)
    return await claim.store(tx, 202, await read_view(tx, order_id, rule))


@router.post("/{order_id}/claim")
@refuses(EmailUnverified, OrderNotFound, AlreadyClaimed)
async def claim_order(
    order_id: UUID, caller: SignedIn, tx: Tx, token: OrderToken = None
) -> OrderView:
    """Move a guest's order to the account whose verified e-mail it was placed with."""
    if not caller.email_verified:
        raise EmailUnverified
    if not await store.claim_order(tx, order_id, caller):
        rule = store.owned_by(caller, hash_of(token) if token else None)
        order = await store.get_order(tx, order_id, rule)
        if order["customer_id"] != caller.customer_id:
            raise AlreadyClaimed
    return await read_view(tx, order_id, store.owned_by(caller, None))
