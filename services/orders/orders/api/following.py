"""Following an order: waiting for its outcome, and its progress as server-sent events."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
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

router = APIRouter(prefix="/v1/orders")

Preference = Annotated[
    str | None,
    Header(alias="Prefer", max_length=100, description="`wait=N`: answer with the outcome"),
]
PING_AFTER = 10.0
# By then parcels have moved, and lines with them.
MOVED_ON = (Status.SHIPPED, Status.DELIVERED, Status.RETURNED)
LONGEST_STREAM = 3600.0


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


STREAM = {"schema": {"type": "string"}, "example": 'id: 3\nevent: order\ndata: {"version": 3}\n\n'}


@router.get(
    "/{order_id}/progress",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": STREAM}}},
)
async def follow_progress(order_id: UUID, request: Request, rule: Visible) -> StreamingResponse:
    """The order's public state as server-sent events, one for each change until it has ended."""
    state: Running[OrdersSettings] = request.app.state
    async with state.database.transaction() as tx:
        await store.get_order(tx, order_id, rule)
    return StreamingResponse(
        _events(state, order_id, rule),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _events(
    state: Running[OrdersSettings], order_id: UUID, rule: Visible
) -> AsyncIterator[str]:
    began = pinged = time.monotonic()
    shown = 0
    async with state.resources.watch.on(order_id) as woken:
        while time.monotonic() - began < LONGEST_STREAM:
            async with state.database.transaction() as tx:
                view = await read_view(tx, order_id, rule)
            if view.version != shown:
                shown = view.version
                yield f"id: {shown}\nevent: order\ndata: {view.model_dump_json()}\n\n"
            elif time.monotonic() - pinged > PING_AFTER:
                pinged = time.monotonic()
                yield ": still here\n\n"
            if view.status in (Status.DELIVERED, Status.CANCELLED, Status.RETURNED):
                return
            await pause(woken, PING_AFTER)
