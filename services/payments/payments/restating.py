"""Restating: the provider is asked, what it says is learned, and orders is told once more."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.db import Database
from chassis.errors import NotFound
from chassis.ids import utcnow
from chassis.ops import audit
from contracts.payments import PaymentEvent, PaymentRefunded
from payments.bus import provider_of, target_of
from payments.domain.charge import Charge
from payments.domain.payment import Payment
from payments.providers.port import ProviderRefused
from payments.store import payments


async def restate(database: Database, payment_id: UUID, reason: str) -> None:
    """Bring a payment to what its provider says and tell where it stands, changed or not.

    Raises NotFound, and OutcomeUnknown when the provider cannot be asked.
    """
    async with database.transaction() as tx:
        payment = await payments.find_payment(tx, payment_id)
    if payment is None:
        raise NotFound
    try:
        charge = await provider_of(payment).find(target_of(payment))
    except ProviderRefused:
        # It knows of no such charge; what we believe stands until somebody decides.
        charge = None
    await database.retry(lambda tx: _tell(tx, payment_id, charge, reason))


async def _tell(tx: AsyncSession, payment_id: UUID, charge: Charge | None, reason: str) -> None:
    order, payment = await payments.lock(tx, payment_id)
    before = _state(payment)
    step = payment.learn(charge, utcnow()) if charge else None
    if step is not None and step.changed:
        outbox.add(tx, *await payments.save(tx, order, payment, step))
    if step is None or not step.events:
        outbox.add(tx, *await payments.answer(tx, order, *_standing(payment)))
    await audit.record(
        tx, "payment.restate", payment_id, reason, before=before, after=_state(payment)
    )


def _standing(payment: Payment) -> list[PaymentEvent | None]:
    told = [payment.standing()]
    if payment.refunded_amount:
        total = payment.money(payment.refunded_amount)
        told.append(payment.tell(PaymentRefunded, refunded=total, refunded_total=total))
    return told


def _state(payment: Payment) -> dict[str, Any]:
    named = ("status", "captured_amount", "refunded_amount", "review_reason")
    return {name: getattr(payment, name) for name in named}
