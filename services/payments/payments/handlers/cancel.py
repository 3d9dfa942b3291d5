"""CancelPayment: make sure that no money is taken; never assume it, ask."""

from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Answered
from chassis.ids import utcnow
from contracts.payments import CancelPayment, PaymentCancelled, PaymentEvent
from payments.bus import provider_of, target_of
from payments.domain.attempt import key_of
from payments.domain.charge import Charge
from payments.domain.payment import RANK
from payments.handlers.outcome import take
from payments.providers.port import NewCharge, OutcomeUnknown, Provider, ProviderRefused, Target
from payments.store import attempts, payments

SETTLED = ("captured", "failed", "voided")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to give up; `new` and its key where it is not known whether a charge was made."""

    provider: Provider
    target: Target
    key: str
    new: NewCharge | None
    collect_key: str


class Cancel:
    """Leaves a tombstone, so that a CollectPayment that was overtaken is refused."""

    async def record(self, command: CancelPayment, tx: AsyncSession) -> Plan | Answered:
        """Store the tombstone and the attempt, or answer at once."""
        order, payment = await payments.hold_order(tx, command.order_id, cancelled_at=utcnow())
        if payment is None:
            cancelled = PaymentCancelled(order_id=command.order_id)
            return Answered(await payments.answer(tx, order, cancelled))
        if RANK[payment.status] == RANK["voided"]:
            return Answered(await payments.answer(tx, order, payment.tell(PaymentCancelled)))
        if payment.is_captured:
            return Answered(await payments.answer(tx, order, payment.standing()))
        key = key_of("cancel", command.operation_id)
        collect_key = key_of("collect", payment.operation_id)
        new = None
        if payment.provider_reference is None:
            request = await attempts.find_request(tx, collect_key) or {}
            new = NewCharge(
                method=payment.method,
                token=request.get("token"),
                capture=payment.capture == "now",
            )
        await attempts.start_attempt(tx, payment.id, "cancel", key, {})
        return Plan(provider_of(payment), target_of(payment), key, new, collect_key)

    async def call(self, plan: Plan) -> Charge | ProviderRefused:
        """Give the charge up, after finding out whether there is one.

        A request of ours may still be on its way. Sending it again under its key settles that: the
        provider answers with the one charge there can be.
        """
        target = plan.target
        try:
            if plan.new is not None:
                charge = await plan.provider.find(target)
                if charge is None:
                    charge = await plan.provider.charge(target, plan.new, plan.collect_key)
                if charge.status in SETTLED:
                    return charge
                target = replace(target, reference=charge.reference)
            charge = await plan.provider.cancel(target, plan.key)
        except ProviderRefused as refused:
            return await _after_refusal(plan, target, refused)
        if charge.status not in SETTLED:
            raise OutcomeUnknown(f"the charge is {charge.status} after it was cancelled")
        return charge

    async def finish(
        self,
        command: CancelPayment,
        plan: Plan,
        outcome: Charge | ProviderRefused,
        tx: AsyncSession,
    ) -> list[PaymentEvent]:
        """Move the payment on; a capture that was faster is answered as such."""
        order, payment = await payments.lock(tx, plan.target.payment_id)
        step, finished = take(payment, plan.key, outcome)
        await attempts.forget_token(tx, plan.collect_key)
        return await payments.save(tx, order, payment, step, finished)


async def _after_refusal(
    plan: Plan, target: Target, refused: ProviderRefused
) -> Charge | ProviderRefused:
    """A charge that never was is given up; one that is must be settled, or is asked about again."""
    if target.reference is None:
        return refused
    charge = await plan.provider.find(target)
    if charge is None or charge.status not in SETTLED:
        raise OutcomeUnknown(f"the charge was not cancelled: {refused.code}") from refused
    return charge
