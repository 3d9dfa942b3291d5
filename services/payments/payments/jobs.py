"""Sweeps: check open payments with their provider, repeat refunds, purge deleted methods."""

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox, tracing
from chassis.context import Context, use_context
from chassis.db import Database
from chassis.ids import utcnow
from chassis.sweep import Batch
from payments import service
from payments.clients.provider import OutcomeUnknown, ProviderRefused, Providers, Target
from payments.domain.charge import Charge
from payments.domain.payment import OrderPayments, Payment
from payments.domain.payment_method import SavedPaymentMethod
from payments.domain.tables import idempotency_key
from payments.service import RefundCall, RefundRequest
from payments.settings import PaymentsSettings
from payments.store import payment_methods
from payments.store import payments as store

log = structlog.get_logger()

BATCH_SIZE: Final = 20
CHECKS: Final = Batch[UUID]("open payments")
REFUNDS: Final = Batch[UUID]("unanswered refunds")
DELETIONS: Final = Batch[UUID]("deleted payment methods")


async def _retry_context(tx: AsyncSession, operation: str, key: str) -> Context:
    """The context of a retry, in the trace of the first request under the key."""
    first = await store.find_attempt_request(tx, key) or {}
    return Context(
        actor="service:payments", span=tracing.root_span(operation, first.get("traceparent"))
    )


def _check_after(settings: PaymentsSettings) -> timedelta:
    return timedelta(seconds=settings.action_check_after)


async def check_open_payments(
    database: Database, providers: Providers, settings: PaymentsSettings
) -> int:
    """Look up payments whose webhook never came, or did not fit."""
    now = utcnow()
    async with database.transaction() as tx:
        ids = await store.claim_due_checks(tx, now, now + _check_after(settings), BATCH_SIZE)

    async def check(payment_id: UUID) -> None:
        with CHECKS.isolate(payment_id):
            await _check_payment(database, payment_id, providers, settings)

    await asyncio.gather(*(check(payment_id) for payment_id in ids))
    return len(ids)


async def _check_payment(
    database: Database, payment_id: UUID, providers: Providers, settings: PaymentsSettings
) -> None:
    async with database.transaction() as tx:
        order, payment = await store.lock_payment(tx, payment_id)
        collect_key = idempotency_key("collect", payment.operation_id)
        retry = await _retry_context(tx, "check payment", collect_key)
    with use_context(retry):
        try:
            charge = await _find_or_cancel_charge(order, payment, providers)
        except (OutcomeUnknown, ProviderRefused) as error:
            log.warning("payment not checked", payment_id=payment_id, error=str(error))
            return
        await database.retry(lambda tx: _apply_charge(tx, payment_id, charge, settings))


async def _find_or_cancel_charge(
    order: OrderPayments, payment: Payment, providers: Providers
) -> Charge | None:
    """The payment's charge; that of a cancelled order is cancelled."""
    provider, target = providers.of(payment), Target.of(payment)
    if order.cancelled_at is None or not payment.is_open:
        return await provider.find_charge(target)
    cancel_key = idempotency_key("cancel", payment.operation_id)
    outcome = await service.cancel_charge(provider, target, cancel_key)
    if isinstance(outcome, ProviderRefused):
        raise outcome
    return outcome


async def _apply_charge(
    tx: AsyncSession, payment_id: UUID, charge: Charge | None, settings: PaymentsSettings
) -> None:
    """Apply the charge; a payment without one waits for the retry of its command."""
    now = utcnow()
    order, payment = await store.lock_payment(tx, payment_id)
    if charge is not None:
        step = payment.apply_charge(charge, now)
    else:
        step = service.void_without_charge(order, payment, now, settings)
    if not payment.is_open:
        payment.check_at = None
    elif charge is not None or order.cancelled_at is None:
        payment.schedule_check(now, _check_after(settings))
    if not step.changed:
        await store.save_check(tx, payment)
        return
    outbox.add(tx, *await store.save_payment(tx, order, payment, step))


async def finish_refunds(
    database: Database, providers: Providers, settings: PaymentsSettings
) -> int:
    """Repeat refunds without a result, under the same key."""
    after = _check_after(settings)
    async with database.transaction() as tx:
        stale = await store.claim_stale_refunds(tx, utcnow(), after, BATCH_SIZE)

    async def finish(operation_id: UUID) -> None:
        with REFUNDS.isolate(operation_id):
            await _repeat_refund(database, operation_id, providers)

    await asyncio.gather(*(finish(operation_id) for operation_id in stale))
    return len(stale)


async def _repeat_refund(database: Database, operation_id: UUID, providers: Providers) -> None:
    async with database.transaction() as tx:
        refund = await store.find_refund(tx, operation_id)
        if refund is None:
            return
        retry = await _retry_context(tx, "repeat refund", refund.key)
    with use_context(retry):
        call = await database.retry(lambda tx: _reserve_again(tx, operation_id, providers))
        if call is None:
            return
        try:
            result = await service.request_refund(call)
        except OutcomeUnknown as error:
            log.warning("refund not finished", operation_id=operation_id, error=str(error))
            return
        repeated = call

        async def settle(tx: AsyncSession) -> None:
            outbox.add(tx, *await service.settle_refund(tx, repeated, result))

        await database.retry(settle)


async def _reserve_again(
    tx: AsyncSession, operation_id: UUID, providers: Providers
) -> RefundCall | None:
    refund = await store.find_refund(tx, operation_id)
    if refund is None:
        return None
    order, payment = await store.lock_payment(tx, refund.payment_id)
    await tx.refresh(refund)
    if refund.state != "reserved":
        return None
    request = RefundRequest(operation_id, payment.money(refund.amount), refund.reason)
    reserved = await service.reserve_refund(tx, order, payment, request, providers)
    return reserved if isinstance(reserved, RefundCall) else None


async def purge_deleted_methods(database: Database, providers: Providers) -> int:
    """Delete at the provider what its customer deleted; one that fails leaves the others."""
    async with database.transaction() as tx:
        deleted = await payment_methods.list_deleted(tx, DELETIONS.postponed(), BATCH_SIZE)
    return sum(await asyncio.gather(*(_purge(database, method, providers) for method in deleted)))


async def _purge(database: Database, method: SavedPaymentMethod, providers: Providers) -> bool:
    with DELETIONS.isolate(method.id):
        provider = providers.find(method.provider)
        if provider is not None:
            await provider.delete_method(method.provider_token)
        async with database.transaction() as tx:
            await payment_methods.purge_saved(tx, method.id)
        return True
    return False
