"""Use cases that several edges start: refunds, cancelling a charge, resync with the provider."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.ids import new_id, utcnow
from contracts.money import Money
from contracts.payments import PaymentEvent, PaymentRefunded, RefundFailed
from payments.clients.provider import (
    OutcomeUnknown,
    Provider,
    ProviderRefused,
    Providers,
    Target,
)
from payments.domain.charge import Charge, ChargeRefund
from payments.domain.payment import OrderPayments, Payment, Step
from payments.domain.refund import Refund, full_refund_reply, refund_refusal
from payments.settings import PaymentsSettings
from payments.store import payments as store
from payments.store.payments import AttemptResult

FINAL_CHARGE_STATUSES = ("captured", "failed", "voided")


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A refund to make; `amount` None means the whole refundable amount."""

    operation_id: UUID
    amount: Money | None
    reason: str


@dataclass(frozen=True, slots=True)
class RefundCall:
    """A reserved refund to request from the provider."""

    provider: Provider
    target: Target
    operation_id: UUID
    amount: int
    key: str


async def reserve_refund(
    tx: AsyncSession,
    order: OrderPayments,
    payment: Payment,
    request: RefundRequest,
    providers: Providers,
) -> RefundCall | PaymentRefunded | RefundFailed | None:
    """Reserve the amount under the order's lock, or return an earlier result or a refusal.

    The same operation finds its refund again; one that the provider refused gets a new try. None
    means that a webhook settled it, whose event was published then.
    """
    refund = await store.find_refund(tx, request.operation_id)
    if refund is not None and refund.state == "succeeded":
        published = await store.finish_attempt(tx, refund.key)
        return None if published else refund.result_event(payment)
    if refund is None or refund.state == "failed":
        amount = payment.money(refund.amount) if refund else request.amount
        if amount is None and (done := full_refund_reply(payment, request.operation_id)):
            return done
        if code := refund_refusal(payment, amount):
            return payment.build_event(RefundFailed, operation_id=request.operation_id, reason=code)
        if refund is None:
            refund = _new_refund(payment, request)
            tx.add(refund)
        refund.reserve(payment)
        await store.save_payment(tx, order, payment, Step())
    stored = {"amount": refund.amount, "traceparent": context.current().traceparent}
    await store.start_attempt(tx, payment.id, "refund", refund.key, stored)
    provider, target = providers.of(payment), Target.of(payment)
    return RefundCall(provider, target, refund.operation_id, refund.amount, refund.key)


async def request_refund(call: RefundCall) -> ChargeRefund:
    """Request a refund from the provider; raises OutcomeUnknown when it must be repeated."""
    try:
        charge = await call.provider.refund(call.target, call.amount, call.key)
    except ProviderRefused as refused:
        return ChargeRefund(
            reference=call.key, succeeded=False, amount=call.amount, failure_code=refused.code
        )
    if charge.refund is None:
        raise OutcomeUnknown("the provider's response holds no refund")
    return charge.refund


async def settle_refund(
    tx: AsyncSession, call: RefundCall, result: ChargeRefund
) -> list[PaymentEvent]:
    """Store a refund's result; returns no event where a webhook brought the result first."""
    order, payment = await store.lock_payment(tx, call.target.payment_id)
    refund = await store.find_refund(tx, call.operation_id)
    if refund is None:
        raise LookupError("a refund is never deleted")
    step = refund.settle(payment, result, utcnow())
    outcome = "succeeded" if result.succeeded else "failed"
    finished = AttemptResult(call.key, outcome, result.failure_code)
    return await store.save_payment(tx, order, payment, step, finished)


def _new_refund(payment: Payment, request: RefundRequest) -> Refund:
    return Refund(
        id=new_id(),
        payment_id=payment.id,
        operation_id=request.operation_id,
        amount=request.amount.amount if request.amount else payment.refundable_amount,
        reason=request.reason[:500],
        requested_by=context.current().actor,
    )


async def cancel_charge(
    provider: Provider, target: Target, key: str
) -> Charge | ProviderRefused | None:
    """Cancel the payment's charge; None when the provider has none, which may yet appear.

    Raises OutcomeUnknown when the charge is neither cancelled nor settled in another way.
    """
    try:
        if target.reference is None:
            charge = await provider.find_charge(target)
            if charge is None or charge.status in FINAL_CHARGE_STATUSES:
                return charge
            target = replace(target, reference=charge.reference)
        charge = await provider.cancel(target, key)
    except ProviderRefused as refused:
        return await _charge_after_refusal(provider, target, refused)
    if charge.status not in FINAL_CHARGE_STATUSES:
        raise OutcomeUnknown(f"the charge is {charge.status} after it was cancelled")
    return charge


async def _charge_after_refusal(
    provider: Provider, target: Target, refused: ProviderRefused
) -> Charge | ProviderRefused:
    if target.reference is None:
        return refused
    charge = await provider.find_charge(target)
    if charge is None or charge.status not in FINAL_CHARGE_STATUSES:
        raise OutcomeUnknown(f"the charge was not cancelled: {refused.code}") from refused
    return charge


def void_without_charge(
    order: OrderPayments, payment: Payment, now: datetime, settings: PaymentsSettings
) -> Step:
    """Void a cancelled payment without a charge, once none can appear any more.

    A request that was sent before the tombstone may reach the provider until its time limit is
    over. Until then the sweep looks the charge up again.
    """
    if order.cancelled_at is None or payment.status != "initiated":
        return Step()
    limit = order.cancelled_at + timedelta(seconds=settings.charge_settles_after)
    if now >= limit:
        return payment.void()
    payment.check_at = min(limit, now + timedelta(seconds=settings.action_check_after))
    return Step(changed=True)
