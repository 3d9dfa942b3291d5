"""What orders hold, over HTTP: for people who ask why pieces are not for sale."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.db import Tx
from chassis.ids import utcnow
from chassis.pages import Page, Paged
from inventory.api.access import Reader
from inventory.api.views import ReservationView
from inventory.domain.reservation import State
from inventory.store import reservations

router = APIRouter(prefix="/v1/admin/stock/reservations")


@router.get("")
async def list_reservations(
    *,
    caller: Reader,
    paging: Paged,
    tx: Tx,
    state: State | None = None,
    older_than: Annotated[
        int | None, Query(ge=0, le=10**9, description="made at least so many seconds ago")
    ] = None,
) -> Page[ReservationView]:
    """List reservations, oldest first; old ones still `held` belong to orders that never ended."""
    rows = await reservations.list_reservations(
        tx,
        state=state,
        made_before=utcnow() - timedelta(seconds=older_than) if older_than is not None else None,
        after=paging.position(datetime, UUID),
        limit=paging.limit + 1,
    )
    lines = await reservations.list_allocations(tx, [row.order_id for row in rows])
    return paging.page(
        rows,
        lambda row: ReservationView.of(row, lines.get(row.order_id, [])),
        lambda row: (row.created_at, row.order_id),
    )


@router.get("/{order_id}")
async def get_reservation(order_id: UUID, caller: Reader, tx: Tx) -> ReservationView:
    """Read what one order holds."""
    reservation = await reservations.get_reservation(tx, order_id)
    lines = await reservations.list_allocations(tx, [order_id])
    return ReservationView.of(reservation, lines.get(order_id, []))
