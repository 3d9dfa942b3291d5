"""What orders hold, as their reconciliation asks, and giving back what no order holds."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from chassis import outbox
from chassis.auth import require_permission
from chassis.db import Tx
from chassis.errors import Refused
from chassis.ids import lowest_id
from chassis.ops import audit
from chassis.ops.views import ReasonBody
from chassis.pages import Page, Paged
from chassis.wire import Moment, View
from inventory.domain.reservation import ReservationUnknown, State
from inventory.releasing import give_back
from inventory.store import reservations, stock

router = APIRouter(prefix="/v1/admin/ops/inventory/reconciliation", tags=["reconciliation"])

Reads = Depends(require_permission("ops:read"))
Writes = Depends(require_permission("ops:write"))


class NothingHeld(Refused):
    """The order holds nothing any more."""

    code = "nothing_held"


class HoldPosition(View):
    """What an order holds; `pieces` that have not left the warehouse."""

    order_id: UUID
    state: State
    pieces: int
    updated_at: datetime


@router.get("", dependencies=[Reads])
async def list_hold_positions(
    paging: Paged,
    tx: Tx,
    since: Annotated[Moment | None, Query(description="of orders from then on")] = None,
) -> Page[HoldPosition]:
    """Every order that holds pieces, by the time it was placed."""
    rows = await reservations.list_live(
        tx,
        since=lowest_id(since) if since else None,
        after=paging.position(UUID),
        limit=paging.limit,
    )
    return paging.page(rows, HoldPosition.model_validate, lambda row: row.order_id)


@router.post("/{order_id}/release", dependencies=[Writes])
async def release_hold(order_id: UUID, body: ReasonBody, tx: Tx) -> HoldPosition:
    """Put back on sale what an order holds that is over or was never placed.

    Nothing is told to orders, which may not know the order; what changed of the stock is told.
    """
    holds = await reservations.lock_holds(tx, [order_id])
    if order_id not in holds:
        raise ReservationUnknown
    hold = holds[order_id]
    if not hold.is_live:
        raise NothingHeld
    before = {"state": hold.state, "pieces": sum(line.remaining for line in hold.lines)}
    locked = await give_back(tx, [hold])
    await reservations.save_holds(tx, [hold])
    news = await stock.save_stock(tx, locked)
    outbox.add(tx, *(event for events in news.values() for event in events))
    after = {"state": hold.state, "pieces": 0}
    await audit.record(tx, "hold.release", order_id, body.reason, before=before, after=after)
    return HoldPosition.model_validate(await reservations.get_position(tx, order_id))
