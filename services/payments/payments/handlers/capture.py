"""CapturePayment: take money that was promised."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Replied
from chassis.ids import utcnow
from contracts.payments import CaptureFailed, CapturePayment, PaymentEvent
from payments.bus import provider_of, target_of
from payments.domain.attempt import key_of
from payments.domain.charge import Charge
from payments.domain.payment import Payment
from payments.providers.port import Provider, ProviderRefused, Target
from payments.store import attempts, payments
from payments.store.payments import Finished


@dataclass(frozen=True, slots=True)
class Plan:
    """The promise to redeem."""

    provider: Provider
    target: Target
    key: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the charge stands afterwards, and why the capture was refused, if it was."""

    charge: Charge | None
    refusal: str | None = None


class Capture:
    """Money is taken once; a repeat hears that it was."""

    async def record(self, command: CapturePayment, tx: AsyncSession) -> Plan | Replied:
        """Store the attempt, or answer at once."""
        order, payment = await payments.hold_order(tx, command.order_id)
        if payment is None:
            unknown = CaptureFailed(order_id=command.order_id, reason="payment_unknown")
            return Replied(await payments.answer(tx, order, unknown))
        if payment.is_captured:
            return Replied(await payments.answer(tx, order, payment.standing()))
        key = key_of("capture", command.operation_id)
        begun = await attempts.find_request(tx, key) is not None
        is_expired = command.is_expired(utcnow()) and not begun
        reason = "cancelled" if order.cancelled_at else _refusal(payment, is_expired=is_expired)
        if reason is not None:
            failed = payment.tell(CaptureFailed, reason=reason)
            return Replied(await payments.answer(tx, order, failed))
        await attempts.start_attempt(tx, payment.id, "capture", key, {"amount": payment.amount})
        return Plan(provider_of(payment), target_of(payment), key)

    async def call(self, plan: Plan) -> Outcome:
        """Capture; after a refusal look at what became of the charge."""
        try:
            return Outcome(await plan.provider.capture(plan.target, plan.key))
        except ProviderRefused as refused:
            try:
                return Outcome(await plan.provider.find(plan.target), refused.code)
            except ProviderRefused:
                return Outcome(None, refused.code)

    async def finish(
        self, command: CapturePayment, plan: Plan, outcome: Outcome, tx: AsyncSession
    ) -> list[PaymentEvent]:
        """Move the payment on, or tell that the promise could not be redeemed just now."""
        order, payment = await payments.lock(tx, plan.target.payment_id)
        charge = outcome.charge
        step = payment.learn(charge, utcnow()) if charge else payment.fail(outcome.refusal or "")
        if payment.status == "authorized":
            reason = outcome.refusal or "not_captured"
            step.events.append(payment.tell(CaptureFailed, reason=reason))
        finished = Finished(plan.key, charge.status if charge else None, outcome.refusal)
        return await payments.save(tx, order, payment, step, finished)


def _refusal(payment: Payment, *, is_expired: bool) -> str | None:
    if payment.status == "voided":
        return "cancelled"
    if payment.status == "failed":
        return payment.failure_reason or "failed"
    if payment.status != "authorized":
        return "not_authorized"
    return "expired" if is_expired else None
