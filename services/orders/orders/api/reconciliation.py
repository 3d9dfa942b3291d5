"""What orders believes of each order's money: its part of the reconciliation."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from chassis.auth import require_permission
from chassis.db import Tx
from chassis.ids import lowest_id
from chassis.pages import Page, Paged
from chassis.wire import Moment, View
from orders.store import sagas as store

router = APIRouter(prefix="/v1/admin/ops/orders/reconciliation", tags=["reconciliation"])

Reads = Depends(require_permission("ops:read"))


class OrderPosition(View):
    """An order as the books of others must show it; amounts are minor units of `currency`."""

    order_id: UUID
    order_number: str
    status: str
    stage: str
    payment_method: str
    currency: str
    total_amount: int
    captured_amount: int
    refunded_amount: int
    handed_over: bool
    updated_at: datetime


@router.get("", dependencies=[Reads])
async def list_order_positions(
    paging: Paged,
    tx: Tx,
    since: Annotated[Moment | None, Query(description="orders placed from then on")] = None,
) -> Page[OrderPosition]:
    """Every order with its money as orders believes it, by the time it was placed."""
    rows = await store.list_positions(
        tx,
        since=lowest_id(since) if since else None,
        after=paging.position(UUID),
        limit=paging.limit,
    )
    return paging.page(rows, OrderPosition.model_validate, lambda row: row.order_id)
