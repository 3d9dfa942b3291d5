"""Routes of staff: payments with their attempts and refunds, and giving money back."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag, outbox
from chassis.auth import Caller, require_permission
from chassis.db import Database, Tx
from chassis.errors import Refused
from chassis.idempotency import Claim, idempotent
from chassis.openapi import refuses
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, MoneyBody, View
from contracts.money import Money
from contracts.payments import PaymentRefunded, RefundFailed
from payments import refunding
from payments.api.views import NoCardNumber, PaymentView, shown
from payments.domain.payment import Payment
from payments.domain.refund import Refund
from payments.providers.port import OutcomeUnknown
from payments.refunding import Plan, Wish
from payments.store import payments, reading, refunds
from payments.store.reading import Filter, Reader

router = APIRouter(prefix="/v1/admin/payments")

ReadsPayments = Annotated[Caller, Depends(require_permission("payments:read"))]
GivesRefunds = require_permission("payments:refund")
STAFF = Reader(customer_id=None, access_hash=None, sees_all=True)


class AttemptView(View):
    """A question to the provider, without what was asked."""

    kind: Literal["collect", "capture", "cancel", "refund"]
    idempotency_key: str
    state: Literal["started", "finished"]
    outcome: str | None
    error: str | None
    created_at: datetime
    updated_at: datetime


class RefundView(View):
    """A refund; `reserved` while the provider's answer is awaited."""

    id: UUID
    payment_id: UUID
    amount: Money
    reason: str
    state: Literal["reserved", "succeeded", "failed"]
    failure_reason: str | None
    requested_by: str
    created_at: datetime

    @classmethod
    def of(cls, refund: Refund, payment: Payment) -> "RefundView":
        """Show a refund in its payment's currency."""
        names = [name for name in cls.model_fields if name != "amount"]
        values = {name: getattr(refund, name) for name in names}
        return cls(**values, amount=payment.money(refund.amount))


class StaffPaymentView(PaymentView):
    """A payment, as staff see it."""

    customer_id: UUID | None
    provider: str
    provider_reference: str | None
    capture: Literal["now", "on_shipment", "on_delivery"]
    review_reason: str | None
    created_by: str
    updated_by: str

    @classmethod
    def of(cls, payment: Payment) -> "StaffPaymentView":
        """Show a payment."""
        return cls.model_validate(shown(payment))


class PaymentDetail(StaffPaymentView):
    """A payment with all that was done for it."""

    attempts: list[AttemptView]
    refunds: list[RefundView]


class NewRefund(Body):
    """Money to give back; without an amount everything that is left."""

    amount: MoneyBody | None = None
    reason: Annotated[NoCardNumber, Field(min_length=1, max_length=500)]


async def _filter(
    order_id: UUID | None = None,
    customer_id: UUID | None = None,
    status: Annotated[str | None, Query(pattern="^[a-z_]{1,30}$")] = None,
    method: Annotated[str | None, Query(pattern="^[a-z_]{1,30}$")] = None,
    needs_review: Annotated[bool | None, Query()] = None,
) -> Filter:
    return Filter(order_id, customer_id, status, method, needs_review)


@router.get("")
async def list_payments(
    caller: ReadsPayments, paging: Paged, wanted: Annotated[Filter, Depends(_filter)], tx: Tx
) -> Page[StaffPaymentView]:
    """Payments, newest first."""
    rows = await reading.list_payments(tx, wanted, paging.position(UUID), paging.limit + 1)
    return paging.page(rows, StaffPaymentView.of, lambda payment: payment.id)


@router.get("/{payment_id}")
async def get_payment(
    payment_id: UUID, caller: ReadsPayments, tx: Tx, response: Response
) -> PaymentDetail:
    """A payment with its attempts and refunds."""
    payment = await reading.get_payment(tx, payment_id, STAFF)
    etag.set_header(response, payment.version)
    attempts = await reading.list_attempts(tx, payment_id)
    given_back = await refunds.list_refunds(tx, payment_id)
    return PaymentDetail(
        **StaffPaymentView.of(payment).model_dump(),
        attempts=[AttemptView.model_validate(attempt) for attempt in attempts],
        refunds=[RefundView.of(refund, payment) for refund in given_back],
    )


async def _principal(caller: Annotated[Caller, Depends(GivesRefunds)]) -> str:
    return caller.principal


@router.post(
    "/{payment_id}/refunds",
    status_code=201,
    response_model=RefundView,
    responses={202: {"model": RefundView, "description": "Reserved; the provider has to answer"}},
)
async def refund_payment(
    payment_id: UUID,
    body: NewRefund,
    claim: Annotated[Claim, idempotent(_principal)],
    request: Request,
) -> Response:
    """Give money back; 202 with a `reserved` refund when the provider's answer is still awaited."""
    database: Database = request.app.state.database
    amount = body.amount.to_money() if body.amount else None
    wish = Wish(claim.resource_id, amount, body.reason)
    plan = await database.retry(lambda tx: _reserve(tx, payment_id, wish))
    if plan is not None:
        try:
            result = await refunding.call(plan)
        except OutcomeUnknown:
            # The sweep asks again under the same key until it is known.
            return await database.retry(lambda tx: _answer(tx, wish, claim, 202))
        answer = plan

        async def settle(tx: AsyncSession) -> None:
            outbox.add(tx, *await refunding.settle(tx, answer, result))

        await database.retry(settle)
    return await database.retry(lambda tx: _answer(tx, wish, claim, 201))


@refuses(409, "not_captured", "refund_in_progress", "currency_mismatch", "amount_not_positive")
async def _reserve(tx: AsyncSession, payment_id: UUID, wish: Wish) -> Plan | None:
    """Set the money aside; None when this request was carried out before. Raises Refused."""
    order, payment = await payments.lock(tx, payment_id)
    match await refunding.reserve(tx, order, payment, wish):
        case Plan() as plan:
            before = {"captured": payment.captured_amount, "refunded": payment.refunded_amount}
            after = {"refunding": plan.amount, "currency": payment.currency}
            await audit.record(
                tx, "payment.refund", payment_id, wish.reason, before=before, after=after
            )
            return plan
        case RefundFailed(reason=reason):
            raise Refused("This much cannot be given back.", code=reason)
        case PaymentRefunded(refunded=refunded) if refunded.amount == 0:
            raise Refused("Everything was given back already.", code="refund_exceeds_captured")
    return None


async def _answer(tx: AsyncSession, wish: Wish, claim: Claim, status: int) -> Response:
    refund = await refunds.find_refund(tx, wish.operation_id)
    if refund is None:
        raise LookupError("a refund is never deleted")
    if refund.state == "failed":
        raise Refused("The provider refused the refund.", code="refund_refused")
    payment = await reading.get_payment(tx, refund.payment_id, STAFF)
    return await claim.store(tx, status, RefundView.of(refund, payment))
