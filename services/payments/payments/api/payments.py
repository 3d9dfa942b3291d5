"""Routes by which a customer, a guest or staff reads the payments of an order."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import AfterValidator

from chassis import etag
from chassis.auth import MaybeCaller
from chassis.card_numbers import contains_card_number
from chassis.db import Tx
from chassis.errors import NotFound, Unauthenticated, refuses
from chassis.pages import Page
from chassis.tokens import hash_of
from chassis.wire import SafeText, View
from contracts.money import Money
from payments.clients.provider import Providers
from payments.domain.payment import Payment
from payments.store import reports
from payments.store.reports import Reader

router = APIRouter(prefix="/v1/payments")


async def _get_providers(request: Request) -> Providers:
    providers: Providers = request.app.state.resources.providers
    return providers


PaymentProviders = Annotated[Providers, Depends(_get_providers)]


def _refuse_card_number(value: str) -> str:
    if contains_card_number(value):
        raise ValueError("the text holds a card number")
    return value


NoCardNumber = Annotated[SafeText, AfterValidator(_refuse_card_number)]
"""Text without a card number; add a `Field(max_length=…)`."""


class NextActionView(View):
    """What the customer must do, and where."""

    type: str
    url: str


class PaymentView(View):
    """A payment for its customer."""

    id: UUID
    order_id: UUID
    order_number: str
    amount: Money
    captured: Money
    refunded: Money
    method: Literal["card", "paypal", "wallet", "cod", "bank_transfer"]
    status: Literal[
        "initiated",
        "action_required",
        "authorized",
        "captured",
        "failed",
        "voided",
        "partially_refunded",
        "refunded",
    ]
    failure_reason: str | None
    next_action: NextActionView | None
    brand: str | None
    last_four: str | None
    paypal_email: str | None
    paid_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, payment: Payment) -> "PaymentView":
        return cls.model_validate(payment_fields(payment))


def payment_fields(payment: Payment) -> dict[str, object]:
    """The fields of a view: a payment's columns, its amounts as money, its next action."""
    values: dict[str, object] = {
        column.name: getattr(payment, column.name) for column in Payment.__table__.columns
    }
    action = {"type": payment.action_type, "url": payment.action_url}
    return values | {
        "amount": payment.money(payment.amount),
        "captured": payment.money(payment.captured_amount),
        "refunded": payment.money(payment.refunded_amount),
        "next_action": action if payment.action_type and payment.action_url else None,
    }


@refuses(Unauthenticated)
async def _reader(
    caller: MaybeCaller,
    order_token: Annotated[
        str | None,
        Header(alias="X-Order-Token", max_length=200, description="a guest's order token"),
    ] = None,
) -> Reader:
    if caller is None and order_token is None:
        raise Unauthenticated("Sign in, or send the order's token as X-Order-Token.")
    return Reader(
        customer_id=caller.customer_id if caller else None,
        access_hash=hash_of(order_token) if order_token else None,
        sees_all=caller is not None and caller.may("payments:read"),
    )


PaymentReader = Annotated[Reader, Depends(_reader)]


@router.get("")
async def list_payments(order_id: UUID, reader: PaymentReader, tx: Tx) -> Page[PaymentView]:
    """List the payments of one order, newest first."""
    found = await reports.list_order_payments(tx, order_id, reader)
    return Page(items=[PaymentView.of(payment) for payment in found])


@router.get("/{payment_id}")
@refuses(NotFound)
async def get_payment(
    payment_id: UUID, reader: PaymentReader, tx: Tx, response: Response
) -> PaymentView:
    """Get a payment and what its customer must do next."""
    payment = await reports.get_payment(tx, payment_id, reader)
    etag.set_header(response, payment.version)
    return PaymentView.of(payment)
