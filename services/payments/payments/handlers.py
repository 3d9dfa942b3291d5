"""Handlers of commands from orders, as record → call → finish, and of events from identity."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.bus import Bus, Replied
from chassis.card_numbers import contains_card_number
from chassis.ids import new_id, utcnow
from contracts.identity import CustomerChanged
from contracts.payments import (
    CancelPayment,
    CaptureFailed,
    CapturePayment,
    CollectPayment,
    PaymentCancelled,
    PaymentEvent,
    PaymentFailed,
    RefundFailed,
    RefundPayment,
)
from payments import service
from payments.clients.provider import NewCharge, Provider, ProviderRefused, Providers, Target
from payments.domain.charge import RANK, Charge, ChargeRefund
from payments.domain.payment import OrderPayments, Payment, Step
from payments.domain.payment_method import PaymentInstrument, has_expired
from payments.domain.tables import idempotency_key
from payments.service import RefundCall, RefundRequest
from payments.settings import PaymentsSettings
from payments.store import payment_methods
from payments.store import payments as store
from payments.store.payments import AttemptResult

bus: Bus[PaymentsSettings] = Bus("payments")


def _providers() -> Providers:
    found: Providers = bus.resources.providers
    return found


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """A call to make about an existing charge."""

    provider: Provider
    target: Target
    key: str


@dataclass(frozen=True, slots=True)
class ChargeCall(ProviderCall):
    """A charge to request; its key makes all retries one request."""

    new: NewCharge


@dataclass(frozen=True, slots=True)
class CaptureOutcome:
    """The charge after a capture, and the code of a refusal."""

    charge: Charge | None
    refusal: str | None = None


@bus.calls(CollectPayment)
class Collect:
    """Charge an order once; repeats get the known result, a cancelled order is never charged."""

    async def record(self, command: CollectPayment, tx: AsyncSession) -> ChargeCall | Replied:
        """Store the payment and its first attempt, or reply at once."""
        now = utcnow()
        instrument = await payment_methods.get_instrument(
            tx, command.method, command.saved_method_id, command.customer_id
        )
        payment = _new_payment(command, now)
        call = ChargeCall(
            _providers().of(payment),
            Target.of(payment),
            idempotency_key("collect", command.operation_id),
            NewCharge(
                method=command.method,
                token=instrument.token if command.saved_method_id else command.token,
                capture=command.capture == "now",
            ),
        )
        reason = _collect_refusal(command, instrument, call.provider, now)
        failed = payment.fail(reason).events[0] if reason else None
        inserted = await _insert(tx, payment, call, failed, is_another=False)
        return inserted or await self._record_again(command, tx, payment, call, failed)

    async def _record_again(
        self,
        command: CollectPayment,
        tx: AsyncSession,
        payment: Payment,
        call: ChargeCall,
        failed: PaymentEvent | None,
    ) -> ChargeCall | Replied:
        """Handle a command whose order already has a payment or a tombstone."""
        order, current = await store.lock_order(tx, command.order_id)
        same = await store.find_by_operation(tx, command.operation_id)
        if same is not None:
            return await _repeat_charge(tx, order, same, call)
        if order.cancelled_at is not None:
            refused = PaymentFailed(
                order_id=command.order_id, amount=command.amount, reason="cancelled"
            )
            return Replied(await store.number_events(tx, order, refused))
        if current is not None and RANK[current.status] != RANK["failed"]:
            return Replied(await store.number_events(tx, order, current.collect_reply()))
        inserted = await _insert(tx, payment, call, failed, is_another=True)
        if inserted is None:
            raise AssertionError("the order's row is locked, so the payment was inserted")
        return inserted

    async def call(self, call: ChargeCall) -> Charge | ProviderRefused:
        """Charge, or look up the charge of an earlier request."""
        try:
            if call.target.reference is not None:
                found = await call.provider.find_charge(call.target)
                if found is not None:
                    return found
            return await call.provider.charge(call.target, call.new, call.key)
        except ProviderRefused as refused:
            return refused

    async def finish(
        self,
        command: CollectPayment,
        call: ChargeCall,
        outcome: Charge | ProviderRefused,
        tx: AsyncSession,
    ) -> list[PaymentEvent]:
        """Apply the outcome; returns no event that a webhook caused before."""
        order, payment = await store.lock_payment(tx, call.target.payment_id)
        step, result = _apply_outcome(payment, call.key, outcome)
        return await store.save_payment(tx, order, payment, step, result)


async def _repeat_charge(
    tx: AsyncSession, order: OrderPayments, payment: Payment, call: ChargeCall
) -> ChargeCall | Replied:
    if payment.status == "initiated" and order.cancelled_at is None:
        return ChargeCall(_providers().of(payment), Target.of(payment), call.key, call.new)
    if payment.status == "initiated":
        # A cancelled order is not charged; the sweep finds out what became of an earlier request.
        return Replied(None)
    if await store.finish_attempt(tx, call.key):
        # The outcome came by webhook or sweep, which published its event.
        return Replied(None)
    return Replied(await store.number_events(tx, order, payment.collect_reply()))


async def _insert(
    tx: AsyncSession,
    payment: Payment,
    call: ChargeCall,
    failed: PaymentEvent | None,
    *,
    is_another: bool,
) -> ChargeCall | Replied | None:
    """Insert the payment, also a refused one, so that repeats get the same reply."""
    request = {
        "method": call.new.method,
        "capture": call.new.capture,
        "token": call.new.token,
        "traceparent": context.current().traceparent,
    }
    sequence = await store.insert_payment(
        tx,
        payment,
        event_count=1 if failed else 0,
        attempt=None if failed else (call.key, request),
        is_another=is_another,
    )
    if sequence is None:
        return None
    return Replied(failed.with_sequence(sequence)) if failed else call


def _collect_refusal(
    command: CollectPayment, instrument: PaymentInstrument, provider: Provider, now: datetime
) -> str | None:
    """The code of the first reason not to call the provider."""
    token, saved = command.token, command.saved_method_id is not None
    reasons = {
        "expired": command.is_expired(now),
        "amount_not_positive": command.amount.amount < 1,
        "method_unavailable": not instrument.enabled,
        "card_number_refused": token is not None and contains_card_number(token),
        "token_not_one_time": token is not None and provider.is_saved_method(token),
        "saved_method_unknown": saved and instrument.type != command.method,
        "card_expired": saved and has_expired(instrument.expires_at, now),
        "token_missing": command.method in ("card", "paypal", "wallet") and not saved and not token,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


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
        provider=_providers().for_method(command.method).name,
        status="initiated",
        captured_amount=0,
        refunded_amount=0,
        refunding_amount=0,
        check_at=now + timedelta(seconds=bus.settings.action_check_after),
        created_by=actor,
        updated_by=actor,
    )


def _apply_outcome(
    payment: Payment, key: str, outcome: Charge | ProviderRefused
) -> tuple[Step, AttemptResult]:
    if isinstance(outcome, Charge):
        return payment.apply_charge(outcome, utcnow()), AttemptResult(key, outcome=outcome.status)
    return payment.fail(outcome.code), AttemptResult(key, error=outcome.code)


@bus.calls(CapturePayment)
class Capture:
    """Capture an authorized payment once; repeats get the known result."""

    async def record(self, command: CapturePayment, tx: AsyncSession) -> ProviderCall | Replied:
        """Store the attempt, or reply at once."""
        order, payment = await store.lock_order(tx, command.order_id)
        if payment is None:
            unknown = CaptureFailed(order_id=command.order_id, reason="payment_unknown")
            return Replied(await store.number_events(tx, order, unknown))
        if payment.is_captured:
            return Replied(await store.number_events(tx, order, payment.current_event()))
        key = idempotency_key("capture", command.operation_id)
        is_repeat = await store.find_attempt_request(tx, key) is not None
        is_expired = command.is_expired(utcnow()) and not is_repeat
        refusal = _capture_refusal(payment, is_expired=is_expired)
        reason = "cancelled" if order.cancelled_at else refusal
        if reason is not None:
            failed = payment.build_event(CaptureFailed, reason=reason)
            return Replied(await store.number_events(tx, order, failed))
        await store.start_attempt(tx, payment.id, "capture", key, {"amount": payment.amount})
        return ProviderCall(_providers().of(payment), Target.of(payment), key)

    async def call(self, call: ProviderCall) -> CaptureOutcome:
        """Capture; after a refusal look up the charge."""
        try:
            return CaptureOutcome(await call.provider.capture(call.target, call.key))
        except ProviderRefused as refused:
            try:
                return CaptureOutcome(await call.provider.find_charge(call.target), refused.code)
            except ProviderRefused:
                return CaptureOutcome(None, refused.code)

    async def finish(
        self,
        command: CapturePayment,
        call: ProviderCall,
        outcome: CaptureOutcome,
        tx: AsyncSession,
    ) -> list[PaymentEvent]:
        """Apply the outcome; CaptureFailed where the payment is still only authorized."""
        order, payment = await store.lock_payment(tx, call.target.payment_id)
        charge, refusal = outcome.charge, outcome.refusal
        step = payment.apply_charge(charge, utcnow()) if charge else payment.fail(refusal or "")
        if payment.status == "authorized":
            reason = refusal or "not_captured"
            step.events.append(payment.build_event(CaptureFailed, reason=reason))
        result = AttemptResult(call.key, charge.status if charge else None, refusal)
        return await store.save_payment(tx, order, payment, step, result)


def _capture_refusal(payment: Payment, *, is_expired: bool) -> str | None:
    if payment.status == "voided":
        return "cancelled"
    if payment.status == "failed":
        return payment.failure_reason or "failed"
    if payment.status != "authorized":
        return "not_authorized"
    return "expired" if is_expired else None


@bus.calls(CancelPayment)
class Cancel:
    """Cancel the payment of an order; its tombstone stops every later charge."""

    async def record(self, command: CancelPayment, tx: AsyncSession) -> ProviderCall | Replied:
        """Store the tombstone and the attempt, or reply at once."""
        order, payment = await store.lock_order(tx, command.order_id, cancelled_at=utcnow())
        if payment is None:
            cancelled = PaymentCancelled(order_id=command.order_id)
            return Replied(await store.number_events(tx, order, cancelled))
        if RANK[payment.status] == RANK["voided"]:
            cancelled = payment.build_event(PaymentCancelled)
            return Replied(await store.number_events(tx, order, cancelled))
        if payment.is_captured:
            return Replied(await store.number_events(tx, order, payment.current_event()))
        await store.erase_token(tx, idempotency_key("collect", payment.operation_id))
        key = idempotency_key("cancel", command.operation_id)
        await store.start_attempt(tx, payment.id, "cancel", key, {})
        return ProviderCall(_providers().of(payment), Target.of(payment), key)

    async def call(self, call: ProviderCall) -> Charge | ProviderRefused | None:
        """Cancel the charge, if the provider has one."""
        return await service.cancel_charge(call.provider, call.target, call.key)

    async def finish(
        self,
        command: CancelPayment,
        call: ProviderCall,
        outcome: Charge | ProviderRefused | None,
        tx: AsyncSession,
    ) -> list[PaymentEvent]:
        """Apply the outcome; a capture that was faster is published as such.

        Returns no event while a charge may still appear: the sweep publishes the result.
        """
        order, payment = await store.lock_payment(tx, call.target.payment_id)
        if outcome is None:
            step = service.void_without_charge(order, payment, utcnow(), bus.settings)
            return await store.save_payment(tx, order, payment, step)
        step, result = _apply_outcome(payment, call.key, outcome)
        return await store.save_payment(tx, order, payment, step, result)


@bus.calls(RefundPayment)
class Refund:
    """Refund once per operation. An expired command is carried out too: it undoes a charge."""

    async def record(self, command: RefundPayment, tx: AsyncSession) -> RefundCall | Replied:
        """Reserve the amount, or reply at once."""
        order, payment = await store.lock_order(tx, command.order_id)
        if payment is None:
            unknown = RefundFailed(
                order_id=command.order_id,
                operation_id=command.operation_id,
                reason="not_captured",
            )
            return Replied(await store.number_events(tx, order, unknown))
        request = RefundRequest(command.operation_id, command.amount, command.reason)
        reserved = await service.reserve_refund(tx, order, payment, request, _providers())
        if isinstance(reserved, RefundCall):
            return reserved
        return Replied(await store.number_events(tx, order, reserved))

    async def call(self, call: RefundCall) -> ChargeRefund:
        """Request the refund from the provider."""
        return await service.request_refund(call)

    async def finish(
        self, command: RefundPayment, call: RefundCall, outcome: ChargeRefund, tx: AsyncSession
    ) -> list[PaymentEvent]:
        """Store the result and publish it."""
        return await service.settle_refund(tx, call, outcome)


@bus.handles(CustomerChanged)
async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """Move a merged customer's payments and saved methods; delete a reclaimed account's methods."""
    if event.merged_into is None:
        return
    await store.reassign_payments(tx, event.customer_id, event.merged_into)
    if event.reclaimed_by is not None:
        await payment_methods.delete_all_saved(tx, event.customer_id)
    else:
        await payment_methods.reassign_saved(tx, event.customer_id, event.merged_into)
