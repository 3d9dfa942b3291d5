"""Giving money back: reserve → call → settle, the same for messages, staff and the sweep."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.ids import new_id, utcnow
from contracts.money import Money
from contracts.payments import PaymentEvent, PaymentRefunded, RefundFailed
from payments.bus import provider_of, target_of
from payments.domain import refund as rules
from payments.domain.charge import ChargeRefund
from payments.domain.payment import OrderPayments, Payment, Step
from payments.domain.refund import Refund
from payments.providers.port import OutcomeUnknown, Provider, ProviderRefused, Target
from payments.store import attempts, payments, refunds
from payments.store.payments import Finished


@dataclass(frozen=True, slots=True)
class Plan:
    """A reserved refund to ask for."""

    provider: Provider
    target: Target
    operation_id: UUID
    amount: int
    key: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A refund that is wanted; `amount` None means everything that is left."""

    operation_id: UUID
    amount: Money | None
    reason: str


async def reserve(
    tx: AsyncSession, order: OrderPayments, payment: Payment, wish: Wish
) -> Plan | PaymentRefunded | RefundFailed | None:
    """Set the money aside under the order's lock, or tell how it ended before or why not now.

    The same operation finds its refund again; one the provider refused is tried anew. None means
    that it ended by webhook, which told so then.
    """
    refund = await refunds.find_refund(tx, wish.operation_id)
    if refund is not None and refund.state == "succeeded":
        told = await attempts.finish_attempt(tx, refund.key)
        return None if told else refund.answer(payment)
    if refund is None or refund.state == "failed":
        amount = payment.money(refund.amount) if refund else wish.amount
        if amount is None and (done := rules.nothing_left(payment, wish.operation_id)):
            return done
        if code := rules.refusal(payment, amount):
            return payment.tell(RefundFailed, operation_id=wish.operation_id, reason=code)
        if refund is None:
            refund = _new_refund(payment, wish)
            tx.add(refund)
        refund.reserve(payment)
        await payments.save(tx, order, payment, Step())
    request = {"amount": refund.amount, "traceparent": context.current().traceparent}
    await attempts.start_attempt(tx, payment.id, "refund", refund.key, request)
    return Plan(
        provider_of(payment), target_of(payment), refund.operation_id, refund.amount, refund.key
    )


async def call(plan: Plan) -> ChargeRefund:
    """Ask the provider; raises OutcomeUnknown when it must be asked again."""
    try:
        charge = await plan.provider.refund(plan.target, plan.amount, plan.key)
    except ProviderRefused as refused:
        return ChargeRefund(
            reference=plan.key, succeeded=False, amount=plan.amount, failure_code=refused.code
        )
    if charge.refund is None:
        raise OutcomeUnknown("the provider did not say what became of the refund")
    return charge.refund


async def settle(tx: AsyncSession, plan: Plan, result: ChargeRefund) -> list[PaymentEvent]:
    """Store how it ended; nothing is told that a webhook told before."""
    order, payment = await payments.lock(tx, plan.target.payment_id)
    refund = await refunds.find_refund(tx, plan.operation_id)
    if refund is None:
        raise LookupError("a refund is never deleted")
    step = refund.settle(payment, result, utcnow())
    outcome = "succeeded" if result.succeeded else "failed"
    finished = Finished(plan.key, outcome, result.failure_code)
    return await payments.save(tx, order, payment, step, finished)


def _new_refund(payment: Payment, wish: Wish) -> Refund:
    return Refund(
        id=new_id(),
        payment_id=payment.id,
        operation_id=wish.operation_id,
        amount=wish.amount.amount if wish.amount else payment.refundable_amount,
        reason=wish.reason[:500],
        requested_by=context.current().actor,
    )
