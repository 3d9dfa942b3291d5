"""CancelPayment: make sure that no money is taken; never assume it, ask."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Replied
from chassis.ids import utcnow
from contracts.payments import CancelPayment, PaymentCancelled, PaymentEvent
from payments import giving_up
from payments.bus import provider_of, target_of
from payments.domain.attempt import key_of
from payments.domain.charge import Charge
from payments.domain.status import RANK
from payments.handlers.outcome import take
from payments.providers.port import Provider, ProviderRefused, Target
from payments.store import attempts, payments


@dataclass(frozen=True, slots=True)
class Plan:
    """What to give up."""

    provider: Provider
    target: Target
    key: str


class Cancel:
    """Leaves a tombstone: from then on no charge is sent for the order, only looked for."""

    async def record(self, command: CancelPayment, tx: AsyncSession) -> Plan | Replied:
        """Store the tombstone and the attempt, or answer at once."""
        order, payment = await payments.hold_order(tx, command.order_id, cancelled_at=utcnow())
        if payment is None:
            cancelled = PaymentCancelled(order_id=command.order_id)
            return Replied(await payments.answer(tx, order, cancelled))
        if RANK[payment.status] == RANK["voided"]:
            return Replied(await payments.answer(tx, order, payment.tell(PaymentCancelled)))
        if payment.is_captured:
            return Replied(await payments.answer(tx, order, payment.standing()))
        await attempts.forget_token(tx, key_of("collect", payment.operation_id))
        key = key_of("cancel", command.operation_id)
        await attempts.start_attempt(tx, payment.id, "cancel", key, {})
        return Plan(provider_of(payment), target_of(payment), key)

    async def call(self, plan: Plan) -> Charge | ProviderRefused | None:
        """Give the charge up, after finding out whether there is one."""
        return await giving_up.give_up(plan.provider, plan.target, plan.key)

    async def finish(
        self,
        command: CancelPayment,
        plan: Plan,
        outcome: Charge | ProviderRefused | None,
        tx: AsyncSession,
    ) -> list[PaymentEvent]:
        """Move the payment on; a capture that was faster is answered as such.

        Nothing is answered while a charge may still appear: the sweep does when that is known.
        """
        order, payment = await payments.lock(tx, plan.target.payment_id)
        if outcome is None:
            step = giving_up.settle_unseen(order, payment, utcnow())
            return await payments.save(tx, order, payment, step)
        step, finished = take(payment, plan.key, outcome)
        return await payments.save(tx, order, payment, step, finished)
