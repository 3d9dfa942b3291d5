"""Sweeps: the provider is asked about what it never told, and reminded of what it must forget."""

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
from chassis.sweep import Batch, Sweep
from payments import refunding
from payments.bus import bus, provider_of, providers, target_of
from payments.domain.attempt import key_of
from payments.domain.charge import Charge
from payments.domain.payment import OrderPayments, Payment
from payments.domain.saved_method import SavedPaymentMethod
from payments.giving_up import give_up, settle_unseen
from payments.providers.port import OutcomeUnknown, ProviderRefused
from payments.refunding import Plan, Wish
from payments.store import attempts, payments, refunds, saved_methods

log = structlog.get_logger()

AT_ONCE = 20
CHECKS: Final = Batch[UUID]("open payments")
REFUNDS: Final = Batch[UUID]("unanswered refunds")
DELETIONS: Final = Batch[UUID]("deleted payment methods")


async def asking_again(tx: AsyncSession, about: str, key: str) -> Context:
    """The context of asking once more, in the trace of what was first asked under the key."""
    first = await attempts.find_request(tx, key) or {}
    return Context(
        actor="service:payments", traceparent=tracing.root_span(about, first.get("traceparent"))
    )


def check_after() -> timedelta:
    """How long something may stay without a result before the provider is asked."""
    return timedelta(seconds=bus.settings.action_check_after)


async def check_open_payments(database: Database) -> int:
    """Ask about payments whose webhook never came, or told of something doubtful."""
    now = utcnow()
    async with database.transaction() as tx:
        ids = await payments.take_to_check(tx, now, now + check_after(), AT_ONCE)
    await asyncio.gather(*(_check(database, payment_id) for payment_id in ids))
    return len(ids)


async def _check(database: Database, payment_id: UUID) -> None:
    with CHECKS.isolate(payment_id):
        await _ask_about(database, payment_id)


async def _ask_about(database: Database, payment_id: UUID) -> None:
    async with database.transaction() as tx:
        order, payment = await payments.lock(tx, payment_id)
        again = await asking_again(tx, "check payment", key_of("collect", payment.operation_id))
    with use_context(again):
        try:
            charge = await _look_up(order, payment)
        except (OutcomeUnknown, ProviderRefused) as error:
            log.warning("payment not checked", payment_id=payment_id, error=str(error))
            return

        async def work(tx: AsyncSession) -> None:
            await _learn(tx, payment_id, charge)

        await database.retry(work)


async def _look_up(order: OrderPayments, payment: Payment) -> Charge | None:
    """The payment's charge; that of a cancelled order is given up."""
    provider, target = provider_of(payment), target_of(payment)
    if order.cancelled_at is None or not payment.is_open:
        return await provider.find(target)
    outcome = await give_up(provider, target, key_of("cancel", payment.operation_id))
    if isinstance(outcome, ProviderRefused):
        raise outcome
    return outcome


async def _learn(tx: AsyncSession, payment_id: UUID, charge: Charge | None) -> None:
    """Move the payment on; without a charge it waits for its command, which is repeated."""
    now = utcnow()
    order, payment = await payments.lock(tx, payment_id)
    step = payment.learn(charge, now) if charge else settle_unseen(order, payment, now)
    if not payment.is_open:
        payment.check_at = None
    elif charge is not None or order.cancelled_at is None:
        payment.check_again(now, check_after())
    if not step.changed:
        await payments.schedule_check(tx, payment)
        return
    outbox.add(tx, *await payments.save(tx, order, payment, step))


async def finish_refunds(database: Database) -> int:
    """Ask again for refunds that got no answer, under the same key."""
    async with database.transaction() as tx:
        stale = await refunds.take_stale(tx, utcnow(), check_after(), AT_ONCE)
    await asyncio.gather(*(_finish(database, operation_id) for operation_id in stale))
    return len(stale)


async def _finish(database: Database, operation_id: UUID) -> None:
    with REFUNDS.isolate(operation_id):
        await _repeat_refund(database, operation_id)


async def _repeat_refund(database: Database, operation_id: UUID) -> None:
    async def plan_again(tx: AsyncSession) -> Plan | None:
        refund = await refunds.find_refund(tx, operation_id)
        if refund is None:
            return None
        order, payment = await payments.lock(tx, refund.payment_id)
        await tx.refresh(refund)
        if refund.state != "reserved":
            return None
        wish = Wish(operation_id, payment.money(refund.amount), refund.reason)
        found = await refunding.reserve(tx, order, payment, wish)
        return found if isinstance(found, Plan) else None

    async with database.transaction() as tx:
        refund = await refunds.find_refund(tx, operation_id)
        if refund is None:
            return
        again = await asking_again(tx, "ask again for refund", refund.key)
    with use_context(again):
        plan = await database.retry(plan_again)
        if plan is None:
            return
        try:
            result = await refunding.call(plan)
        except OutcomeUnknown as error:
            log.warning("refund not finished", operation_id=operation_id, error=str(error))
            return

        async def work(tx: AsyncSession) -> None:
            outbox.add(tx, *await refunding.settle(tx, plan, result))

        await database.retry(work)


async def forget_deleted_methods(database: Database) -> int:
    """Have the provider forget what its customer deleted; a refusal of one leaves the others."""
    async with database.transaction() as tx:
        deleted = await saved_methods.list_deleted(tx, DELETIONS.postponed(), AT_ONCE)
    return sum(await asyncio.gather(*(_forget(database, method) for method in deleted)))


async def _forget(database: Database, method: SavedPaymentMethod) -> bool:
    with DELETIONS.isolate(method.id):
        provider = providers().named(method.provider)
        if provider is not None:
            await provider.forget_method(method.provider_token)
        async with database.transaction() as tx:
            await saved_methods.drop_saved(tx, method.id)
        return True
    return False


SWEEPS = (
    Sweep(CHECKS.name, check_open_payments),
    Sweep(REFUNDS.name, finish_refunds),
    Sweep(DELETIONS.name, forget_deleted_methods),
)
