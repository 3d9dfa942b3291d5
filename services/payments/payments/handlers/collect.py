"""CollectPayment: charge the order once, whatever happens to the question or its answer."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.bus import Replied
from chassis.ids import new_id, utcnow
from contracts.payments import CollectPayment, PaymentEvent, PaymentFailed
from payments.bus import bus, provider_of, providers, target_of
from payments.domain.attempt import key_of
from payments.domain.card_number import holds_card_number
from payments.domain.charge import Charge
from payments.domain.payment import OrderPayments, Payment
from payments.domain.saved_method import has_expired
from payments.domain.status import RANK
from payments.handlers.outcome import take
from payments.providers.port import NewCharge, Provider, ProviderRefused, Target
from payments.store import attempts, payments, saved_methods
from payments.store.saved_methods import Means


@dataclass(frozen=True, slots=True)
class Plan:
    """The question to ask, and the key that makes it one question however often it is asked."""

    provider: Provider
    target: Target
    new: NewCharge
    key: str


class Collect:
    """Repeats are answered with what is known; a cancelled order is never charged."""

    async def record(self, command: CollectPayment, tx: AsyncSession) -> Plan | Replied:
        """Store the payment and its first attempt, or answer at once."""
        now = utcnow()
        means = await saved_methods.find_means(
            tx, command.method, command.saved_method_id, command.customer_id
        )
        payment = _new_payment(command, now)
        plan = Plan(
            provider_of(payment),
            target_of(payment),
            NewCharge(
                method=command.method,
                token=means.token if command.saved_method_id else command.token,
                capture=command.capture == "now",
            ),
            key_of("collect", command.operation_id),
        )
        step = payment.fail(reason) if (reason := _refusal(command, means, now)) else None
        first = step.events[0] if step else None
        begun = await _begin(tx, payment, plan, first, is_another=False)
        return begun or await self._again(command, tx, payment, plan, first)

    async def _again(
        self,
        command: CollectPayment,
        tx: AsyncSession,
        payment: Payment,
        plan: Plan,
        first: PaymentEvent | None,
    ) -> Plan | Replied:
        """Something is known of the order already."""
        order, current = await payments.hold_order(tx, command.order_id)
        mine = await payments.find_by_operation(tx, command.operation_id)
        if mine is not None:
            return await _repeat(tx, order, mine, plan)
        if order.cancelled_at is not None:
            refused = PaymentFailed(
                order_id=command.order_id, amount=command.amount, reason="cancelled"
            )
            return Replied(await payments.answer(tx, order, refused))
        if current is not None and RANK[current.status] != RANK["failed"]:
            return Replied(await payments.answer(tx, order, current.collected()))
        begun = await _begin(tx, payment, plan, first, is_another=True)
        if begun is None:
            raise AssertionError("the order's row is locked, so the payment was made")
        return begun

    async def call(self, plan: Plan) -> Charge | ProviderRefused:
        """Charge, or look at the charge that was made before."""
        try:
            if plan.target.reference is not None:
                found = await plan.provider.find(plan.target)
                if found is not None:
                    return found
            return await plan.provider.charge(plan.target, plan.new, plan.key)
        except ProviderRefused as refused:
            return refused

    async def finish(
        self,
        command: CollectPayment,
        plan: Plan,
        outcome: Charge | ProviderRefused,
        tx: AsyncSession,
    ) -> list[PaymentEvent]:
        """Move the payment on; nothing is told that a webhook told before."""
        order, payment = await payments.lock(tx, plan.target.payment_id)
        step, finished = take(payment, plan.key, outcome)
        return await payments.save(tx, order, payment, step, finished)


async def _repeat(
    tx: AsyncSession, order: OrderPayments, mine: Payment, plan: Plan
) -> Plan | Replied:
    """The payment of this very command is there already."""
    if mine.status == "initiated" and order.cancelled_at is None:
        return Plan(provider_of(mine), target_of(mine), plan.new, plan.key)
    if mine.status == "initiated":
        # No charge is sent any more; what became of an earlier try, the sweep finds out.
        return Replied(None)
    if await attempts.finish_attempt(tx, plan.key):
        # The outcome came by webhook or sweep, and was told then.
        return Replied(None)
    return Replied(await payments.answer(tx, order, mine.collected()))


async def _begin(
    tx: AsyncSession, payment: Payment, plan: Plan, first: PaymentEvent | None, *, is_another: bool
) -> Plan | Replied | None:
    """Make the payment; a refused one is made too, so that repeats hear the same."""
    request = {
        "method": plan.new.method,
        "capture": plan.new.capture,
        "token": plan.new.token,
        "traceparent": context.current().traceparent,
    }
    sequence = await payments.open_payment(
        tx,
        payment,
        said=1 if first else 0,
        attempt=None if first else (plan.key, request),
        is_another=is_another,
    )
    if sequence is None:
        return None
    return Replied(first.with_sequence(sequence)) if first else plan


def _refusal(command: CollectPayment, means: Means, now: datetime) -> str | None:
    """Why the provider is not even asked, as a code."""
    saved = command.saved_method_id is not None
    provider = providers().for_method(command.method)
    reasons = {
        "expired": command.is_expired(now),
        "amount_not_positive": command.amount.amount < 1,
        "method_unavailable": not means.enabled,
        "card_number_refused": command.token is not None and holds_card_number(command.token),
        "token_not_one_time": command.token is not None and provider.is_saved_method(command.token),
        "saved_method_unknown": saved and means.type != command.method,
        "card_expired": saved and has_expired(means.expires_at, now),
        "token_missing": command.method in ("card", "paypal", "wallet")
        and not saved
        and not command.token,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _new_payment(command: CollectPayment, now: datetime) -> Payment:
    actor = context.current().actor
    return Payment(
        id=new_id(),
        order_id=command.order_id,
        operation_id=command.operation_id,
        order_number=command.order_number,
        customer_id=command.customer_id,
        access_hash=command.access_hash,
        amount=command.amount.amount,
        currency=command.amount.currency,
        method=command.method,
        capture=command.capture,
        provider=providers().for_method(command.method).name,
        status="initiated",
        captured_amount=0,
        refunded_amount=0,
        refunding_amount=0,
        check_at=now + timedelta(seconds=bus.settings.action_check_after),
        created_by=actor,
        updated_by=actor,
    )
