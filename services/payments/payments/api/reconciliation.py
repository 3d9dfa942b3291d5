"""What payments and its provider know of each order's money, and asking and telling it again."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from chassis.auth import require_permission
from chassis.client import PeerUnavailable
from chassis.db import Tx
from chassis.ids import lowest_id
from chassis.ops.views import ReasonBody
from chassis.pages import Page, Paged
from chassis.wire import Moment, View
from payments import restating
from payments.bus import providers
from payments.providers.port import OutcomeUnknown, ProviderRefused
from payments.store import reading

router = APIRouter(prefix="/v1/admin/ops/payments/reconciliation", tags=["reconciliation"])

Reads = Depends(require_permission("ops:read"))
Writes = Depends(require_permission("ops:write"))
LINES = 1000


class PaymentPosition(View):
    """A payment as the books of others must show it; amounts are minor units of `currency`."""

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
    """Money that came to us at the provider, or left when negative; `reference` names the order."""

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
    since: Annotated[Moment | None, Query(description="of orders from then on")] = None,
) -> Page[PaymentPosition]:
    """Every payment with its money, by its order's time."""
    rows = await reading.list_positions(
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
async def list_provider_ledger(
    after: Annotated[int, Query(ge=0, le=2**62, description="`next_after` of before")] = 0,
) -> ProviderLines:
    """What the payment provider's own ledger says, entry by entry."""
    try:
        lines, following = await providers().online.ledger(after, LINES)
    except (OutcomeUnknown, ProviderRefused) as error:
        raise PeerUnavailable(f"The payment provider cannot be asked: {error}.") from None
    items = [ProviderLine.model_validate(line) for line in lines]
    return ProviderLines(items=items, next_after=following)


@router.post("/{payment_id}", dependencies=[Writes])
async def restate_payment(payment_id: UUID, body: ReasonBody, request: Request) -> PaymentPosition:
    """Ask the provider what became of a payment, learn it, and tell orders again."""
    try:
        await restating.restate(request.app.state.database, payment_id, body.reason)
    except OutcomeUnknown as error:
        raise PeerUnavailable(f"The payment provider cannot be asked: {error}.") from None
    async with request.app.state.database.transaction() as tx:
        return PaymentPosition.model_validate(await reading.get_position(tx, payment_id))
