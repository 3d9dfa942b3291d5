"""Routes of staff: payments with their attempts and refunds, and new refunds."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag, outbox
from chassis.auth import Caller, require_permission
from chassis.db import Database, Tx
from chassis.errors import NotFound, Refused, refuses
from chassis.idempotency import Claim, idempotent
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, MoneyBody, View
from contracts.money import Money
from contracts.payments import PaymentRefunded, RefundFailed
from payments import service
from payments.api.payments import NoCardNumber, PaymentProviders, PaymentView, payment_fields
from payments.clients.provider import OutcomeUnknown, Providers
from payments.domain.payment import Payment
from payments.domain.refund import Refund
from payments.service import RefundCall, RefundRequest
from payments.store import payments as store
from payments.store import reports
from payments.store.reports import PaymentFilter, Reader

router = APIRouter(prefix="/v1/admin/payments")

PaymentsReader = Annotated[Caller, Depends(require_permission("payments:read"))]
may_refund = require_permission("payments:refund")
STAFF = Reader(customer_id=None, access_hash=None, sees_all=True)


# By what `refund_refusal` returns.
UNREFUNDABLE: Final = tuple(
    Refused("This amount cannot be refunded.", code=code)
    for code in (
        "amount_not_positive", "currency_mismatch", "not_captured", "refund_exceeds_captured",
        "refund_in_progress",
    )
)  # fmt: skip


class RefundRefused(Refused):
    """The provider refused the refund."""

    code = "refund_refused"


class AttemptView(View):
    """A call to the provider, without its request."""

    kind: Literal["collect", "capture", "cancel", "refund"]
    idempotency_key: str
    state: Literal["started", "finished"]
    outcome: str | None
    error: str | None
    created_at: datetime
    updated_at: datetime


class RefundView(View):
    """A refund; `reserved` until the provider has responded."""

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
        """The view of a refund in its payment's currency."""
        names = [name for name in cls.model_fields if name != "amount"]
        values = {name: getattr(refund, name) for name in names}
        return cls(**values, amount=payment.money(refund.amount))


class StaffPaymentView(PaymentView):
    """A payment for staff."""

    customer_id: UUID | None
    provider: str
    provider_reference: str | None
    capture: Literal["now", "on_shipment", "on_delivery"]
    review_reason: str | None
    created_by: str
    updated_by: str

    @classmethod
    def of(cls, payment: Payment) -> "StaffPaymentView":
        return cls.model_validate(payment_fields(payment))


class PaymentDetail(StaffPaymentView):
    """A payment with its attempts and refunds."""

    attempts: list[AttemptView]
    refunds: list[RefundView]


class NewRefund(Body):
    """A refund to make; without an amount, of all that is left."""

    amount: MoneyBody | None = None
    reason: Annotated[NoCardNumber, Field(min_length=1, max_length=500)]


async def _filter(
    order_id: UUID | None = None,
    customer_id: UUID | None = None,
    status: Annotated[str | None, Query(pattern="^[a-z_]{1,30}$")] = None,
    method: Annotated[str | None, Query(pattern="^[a-z_]{1,30}$")] = None,
    needs_review: Annotated[bool | None, Query()] = None,
) -> PaymentFilter:
    return PaymentFilter(order_id, customer_id, status, method, needs_review)


@router.get("")
async def list_payments(
    caller: PaymentsReader,
    paging: Paged,
    wanted: Annotated[PaymentFilter, Depends(_filter)],
    tx: Tx,
) -> Page[StaffPaymentView]:
    """List payments, newest first."""
    rows = await reports.list_payments(tx, wanted, paging.position(UUID), paging.limit + 1)
    return paging.page(rows, StaffPaymentView.of, lambda payment: payment.id)


@router.get("/{payment_id}")
@refuses(NotFound)
async def get_payment(
    payment_id: UUID, caller: PaymentsReader, tx: Tx, response: Response
) -> PaymentDetail:
    """Get a payment with its attempts and refunds."""
    payment = await reports.get_payment(tx, payment_id, STAFF)
    etag.set_header(response, payment.version)
    attempts = await reports.list_attempts(tx, payment_id)
    refunds = await reports.list_refunds(tx, payment_id)
    return PaymentDetail(
        **StaffPaymentView.of(payment).model_dump(),
        attempts=[AttemptView.model_validate(attempt) for attempt in attempts],
        refunds=[RefundView.of(refund, payment) for refund in refunds],
    )


async def _principal(caller: Annotated[Caller, Depends(may_refund)]) -> str:
    return caller.principal


@router.post(
    "/{payment_id}/refunds",
    status_code=201,
    response_model=RefundView,
    responses={
        202: {"model": RefundView, "description": "Reserved; the provider has not responded yet"}
    },
)
@refuses(*UNREFUNDABLE, NotFound, RefundRefused)
async def refund_payment(
    payment_id: UUID,
    body: NewRefund,
    claim: Annotated[Claim, idempotent(_principal)],
    request: Request,
    providers: PaymentProviders,
) -> Response:
    """Refund a payment; 202 with a `reserved` refund while the provider's response is pending."""
    database: Database = request.app.state.database
    amount = body.amount.to_money() if body.amount else None
    wanted = RefundRequest(claim.resource_id, amount, body.reason)
    call = await database.retry(lambda tx: _reserve(tx, payment_id, wanted, providers))
    if call is not None:
        try:
            result = await service.request_refund(call)
        except OutcomeUnknown:
            # The sweep repeats the request under the same key until the result is known.
            return await database.retry(lambda tx: _respond(tx, wanted, claim, 202))
        requested = call

        async def settle(tx: AsyncSession) -> None:
            outbox.add(tx, *await service.settle_refund(tx, requested, result))

        await database.retry(settle)
    return await database.retry(lambda tx: _respond(tx, wanted, claim, 201))


async def _reserve(
    tx: AsyncSession, payment_id: UUID, request: RefundRequest, providers: Providers
) -> RefundCall | None:
    """Reserve the refund; None when this request was carried out before. Raises Refused."""
    order, payment = await store.lock_payment(tx, payment_id)
    match await service.reserve_refund(tx, order, payment, request, providers):
        case RefundCall() as call:
            before = {"captured": payment.captured_amount, "refunded": payment.refunded_amount}
            after = {"refunding": call.amount, "currency": payment.currency}
            await audit.record(
                tx, "payment.refund", payment_id, request.reason, before=before, after=after
            )
            return call
        case RefundFailed(reason=reason):
            raise Refused("This amount cannot be refunded.", code=reason)
        case PaymentRefunded(refunded=refunded) if refunded.amount == 0:
            raise Refused("Everything was refunded already.", code="refund_exceeds_captured")
    return None


async def _respond(tx: AsyncSession, request: RefundRequest, claim: Claim, status: int) -> Response:
    refund = await store.find_refund(tx, request.operation_id)
    if refund is None:
        raise LookupError("a refund is never deleted")
    if refund.state == "failed":
        raise RefundRefused
    payment = await reports.get_payment(tx, refund.payment_id, STAFF)
    return await claim.store(tx, status, RefundView.of(refund, payment))
