"""The progress of an order as server-sent events."""

import time
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from chassis.auth import Caller, MaybeCaller, is_still_valid
from chassis.client_address import client_address, site_of
from chassis.service import Running
from orders.api.access import OrderToken, Visible, order_principal
from orders.api.streams import Stream, Streams
from orders.domain.order import Status
from orders.settings import OrdersSettings
from orders.store import orders as store

router = APIRouter(prefix="/v1/orders")

PING_AFTER = 10.0
CHECK_AFTER = 1.0
LONGEST_STREAM = 3600.0
SHOWN = {"schema": {"type": "string"}, "example": 'id: 3\nevent: order\ndata: {"version": 3}\n\n'}
ENDED = (Status.DELIVERED, Status.CANCELLED, Status.RETURNED)


async def _stream(
    order_id: UUID,
    request: Request,
    rule: Visible,
    caller: MaybeCaller,
    token: OrderToken = None,
) -> AsyncIterator[Stream]:
    """A stream of an order that the caller may see; it counts until its answer has ended."""
    state: Running[OrdersSettings] = request.app.state
    async with state.database.transaction() as tx:
        await store.get_order(tx, order_id, rule)
    principal = await order_principal(caller, token)
    streams: Streams = state.resources.streams
    address = site_of(client_address(request))
    async with streams.follow(order_id, principal, address) as stream:
        yield stream


@router.get(
    "/{order_id}/progress",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": SHOWN}}},
)
async def follow_progress(
    request: Request, stream: Annotated[Stream, Depends(_stream)], caller: MaybeCaller
) -> StreamingResponse:
    """The order's public state as server-sent events, one for each change until it has ended.

    Each process bounds its open streams by principal, client address and order (429), and in all
    (503); both answers carry Retry-After. A stream ends after an hour, when its process stops,
    and with its access token: when that expires, and at a logout, ban or block.
    """
    return StreamingResponse(
        _events(stream, caller, request.app.state),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _events(
    stream: Stream, caller: Caller | None, state: Running[OrdersSettings]
) -> AsyncIterator[str]:
    began = pinged = time.monotonic()
    shown = None
    while not state.stopping.is_set() and await is_still_valid(state.revocations, caller):
        view, now = stream.view, time.monotonic()
        if view is not None and view is not shown:
            shown = view
            yield f"id: {view.version}\nevent: order\ndata: {view.model_dump_json()}\n\n"
            if view.status in ENDED:
                return
        elif now - pinged > PING_AFTER:
            pinged = now
            yield ": still here\n\n"
        if now - began > LONGEST_STREAM:
            return
        await stream.wait(CHECK_AFTER)
