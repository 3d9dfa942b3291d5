"""Reconciliation of amounts with orders and the provider, and the resync of one payment."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.auth import require_permission
from chassis.client import PeerUnavailable
from chassis.db import Database, Tx
from chassis.errors import NotFound, refuses
from chassis.ids import lowest_id, utcnow
from chassis.ops import audit
from chassis.ops.views import ReasonBody
from chassis.pages import Page, Paged
from chassis.wire import Moment, View
from contracts.payments import PaymentEvent, PaymentRefunded
from payments.api.payments import PaymentProviders
from payments.clients.provider import OutcomeUnknown, ProviderRefused, Providers, Target
from payments.domain.charge import Charge
from payments.domain.payment import Payment
from payments.store import payments as store
from payments.store import reports

router = APIRouter(prefix="/v1/admin/ops/payments/reconciliation", tags=["reconciliation"])

Reads = Depends(require_permission("ops:read"))
Writes = Depends(require_permission("ops:write"))
PAGE_SIZE = 1000


class PaymentPosition(View):
    """A payment to compare with orders and the provider; minor units of `currency`."""

    payment_id: UUID
    order_id: UUID
    status: str
    method: str
    currency: str
    amount: int
    captured_amount: int
    refunded_amount: int
    refunding_amount: int
    updated_at: datetime


class ProviderLine(View):
    """Money we received at the provider, or paid when negative; `reference` names the order."""

    reference: str
    amount: int
    currency: str
    created_at: datetime


class ProviderLines(View):
    """A part of the provider's ledger; `next_after` is null at its end."""

    items: list[ProviderLine]
    next_after: int | None


@router.get("", dependencies=[Reads])
async def list_payment_positions(
    paging: Paged,
    tx: Tx,
    since: Annotated[Moment | None, Query(description="of orders created from then on")] = None,
) -> Page[PaymentPosition]:
    """List the amounts of every payment, by its order's time."""
    rows = await reports.list_positions(
        tx,
        since=lowest_id(since) if since else None,
        after=paging.position(UUID, UUID),
        limit=paging.limit,
    )
    return paging.page(
        rows,
        PaymentPosition.model_validate,
        lambda row: (row.order_id, row.payment_id),
    )


@router.get("/provider", dependencies=[Reads])
@refuses(PeerUnavailable)
async def list_provider_ledger(
    providers: PaymentProviders,
    after: Annotated[
        int, Query(ge=0, le=2**62, description="`next_after` of the previous page")
    ] = 0,
) -> ProviderLines:
    """List the entries of the payment provider's own ledger."""
    try:
        lines, following = await providers.online.list_ledger(after, PAGE_SIZE)
    except (OutcomeUnknown, ProviderRefused) as error:
        raise PeerUnavailable(f"The payment provider is unavailable: {error}.") from None
    items = [ProviderLine.model_validate(line) for line in lines]
    return ProviderLines(items=items, next_after=following)


@router.post("/{payment_id}", dependencies=[Writes])
@refuses(NotFound, PeerUnavailable)
async def resync_payment(
    payment_id: UUID, body: ReasonBody, request: Request, providers: PaymentProviders
) -> PaymentPosition:
    """Apply the provider's charge to a payment and publish the payment's current event again."""
    database: Database = request.app.state.database
    try:
        await _resync(database, payment_id, body.reason, providers)
    except OutcomeUnknown as error:
        raise PeerUnavailable(f"The payment provider is unavailable: {error}.") from None
    async with database.transaction() as tx:
        return PaymentPosition.model_validate(await reports.get_position(tx, payment_id))


async def _resync(database: Database, payment_id: UUID, reason: str, providers: Providers) -> None:
    async with database.transaction() as tx:
        payment = await store.find_payment(tx, payment_id)
    if payment is None:
        raise NotFound
    try:
        charge = await providers.of(payment).find_charge(Target.of(payment))
    except ProviderRefused:
        # The provider has no such charge; the payment stays as it is until staff decide.
        charge = None
    await database.retry(lambda tx: _apply_and_publish(tx, payment_id, charge, reason))


async def _apply_and_publish(
    tx: AsyncSession, payment_id: UUID, charge: Charge | None, reason: str
) -> None:
    """Publish the events of the change, or the current ones where nothing changed."""
    order, payment = await store.lock_payment(tx, payment_id)
    before = _audited_state(payment)
    step = payment.apply_charge(charge, utcnow()) if charge else None
    if step is not None and step.changed:
        outbox.add(tx, *await store.save_payment(tx, order, payment, step))
    if step is None or not step.events:
        outbox.add(tx, *await store.number_events(tx, order, *_current_events(payment)))
    await audit.record(
        tx, "payment.restate", payment_id, reason, before=before, after=_audited_state(payment)
    )


def _current_events(payment: Payment) -> list[PaymentEvent | None]:
    events = [payment.current_event()]
    if payment.refunded_amount:
        total = payment.money(payment.refunded_amount)
        events.append(payment.build_event(PaymentRefunded, refunded=total, refunded_total=total))
    return events


def _audited_state(payment: Payment) -> dict[str, Any]:
    names = ("status", "captured_amount", "refunded_amount", "review_reason")
    return {name: getattr(payment, name) for name in names}
