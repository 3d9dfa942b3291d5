"""Reading an order as its customer sees it, and waiting for its outcome."""

import asyncio
import re
import time
from typing import Annotated
from uuid import UUID

from fastapi import Header
from sqlalchemy import true
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Malformed
from chassis.service import Running
from orders.api.access import Visible
from orders.api.views import OrderView
from orders.domain.order import Stage, Status
from orders.settings import OrdersSettings
from orders.store import orders as store
from orders.store.checkouts import get_progress
from orders.watch import pause

Preference = Annotated[
    str | None,
    Header(alias="Prefer", max_length=100, description="`wait=N`: answer with the outcome"),
]
# By then parcels have moved, and lines with them.
MOVED_ON = (Status.SHIPPED, Status.DELIVERED, Status.RETURNED)


def preferred_wait(prefer: str | None, longest: float) -> int:
    """The seconds a client is ready to wait (RFC 7240); 0 without the preference."""
    if prefer is None:
        return 0
    for part in prefer.split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() != "wait":
            continue
        if not re.fullmatch(r"[0-9]{1,4}", value.strip()):
            raise Malformed("Prefer must be wait=N with whole seconds.", code="bad_prefer")
        return int(min(int(value), longest))
    return 0


async def read_view(tx: AsyncSession, order_id: UUID, rule: Visible) -> OrderView:
    """The whole view of an order somebody may see."""
    order = await store.get_order(tx, order_id, rule)
    saga = await store.get_saga(tx, order_id)
    lines = await store.list_lines(tx, [order_id])
    shipments = await store.list_shipments(tx, [order_id])
    return OrderView.of(order, list(lines), list(shipments), saga.stage)


async def final_view(
    state: Running[OrdersSettings], placed: OrderView, woken: asyncio.Event, seconds: float
) -> OrderView | None:
    """The order once its outcome is known or its customer must act; None when that takes longer."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        await pause(woken, left)
        now = await get_progress(state.database, placed.id)
        if now["status"] in MOVED_ON:
            async with state.database.transaction() as tx:
                return await read_view(tx, placed.id, true())
        if now["status"] != Status.PENDING or now["stage"] == Stage.AWAITING_CUSTOMER:
            return placed.after(now)
    return None
