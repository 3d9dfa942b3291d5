"""The progress of orders as server-sent events: how many streams, and what they show.

All streams of an order share one reading of it. One task reads all orders that are followed: those
that changed as soon as this process is notified, and at an interval the versions of all of them,
in one statement, in case a notification was lost.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import true
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import Caller, MaybeCaller, is_still_valid
from chassis.client_address import client_address, site_of
from chassis.db import Database
from chassis.errors import Problem, Unavailable, refuses
from chassis.service import Running
from orders.api.orders import OrderToken, OrderView, Visible, order_principal, read_view
from orders.domain.order import OrderNotFound, Status
from orders.settings import OrdersSettings, StreamLimits
from orders.store import orders as store

log = structlog.get_logger()
router = APIRouter(prefix="/v1/orders")

RETRY_AFTER: Final = 10
INTERVAL: Final = 2.0
PING_AFTER: Final = 10.0
CHECK_AFTER: Final = 1.0
LONGEST_STREAM: Final = 3600.0
SHOWN: Final = {
    "schema": {"type": "string"},
    "example": 'id: 3\nevent: order\ndata: {"version": 3}\n\n',
}
ENDED: Final = (Status.DELIVERED, Status.CANCELLED, Status.RETURNED)


class TooManyStreams(Problem):
    """Too many progress streams are open; close some and try again."""

    status = 429
    code = "too_many_streams"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(RETRY_AFTER)})


class StreamsExhausted(Unavailable):
    """This process serves as many progress streams as it can; try again soon."""

    code = "streams_exhausted"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(RETRY_AFTER)})


@dataclass(eq=False, slots=True)
class Stream:
    """One open stream. `moved` is set when `view` is another one."""

    order_id: UUID
    principal: str
    address: str
    view: OrderView | None = None
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def counted(self) -> tuple[tuple[str, Hashable], ...]:
        """What it counts for; an address that the gateway did not report counts for none."""
        keys = (("principal", self.principal), ("order", self.order_id))
        return (*keys, ("address", self.address)) if self.address else keys

    async def wait(self, seconds: float) -> None:
        """Wait until it moved, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.moved.wait()
        self.moved.clear()


class Streams:
    """Opens streams within their limits, and feeds them."""

    def __init__(self, database: Database, limits: StreamLimits) -> None:
        self._database = database
        self._limits = limits
        self._open: dict[UUID, set[Stream]] = defaultdict(set)
        self._counts: Counter[tuple[str, Hashable]] = Counter()
        self._views: dict[UUID, OrderView] = {}
        self._woken: set[UUID] = set()
        self._signal = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, order_id: UUID, principal: str, address: str) -> AsyncIterator[Stream]:
        """A stream of an order that the principal may see; `address` as limits count it.

        Raises TooManyStreams or StreamsExhausted.
        """
        stream = Stream(order_id, principal, address, self._views.get(order_id))
        self._check(stream)
        self._counts.update(stream.counted)
        self._open[order_id].add(stream)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_on())
        self.wake(order_id)
        try:
            yield stream
        finally:
            self._close(stream)

    def wake(self, order_id: UUID) -> None:
        """Read an order at once if it is followed."""
        if order_id in self._open:
            self._woken.add(order_id)
            self._signal.set()

    def _check(self, stream: Stream) -> None:
        limits = self._limits.model_dump()
        if any(self._counts[key] >= limits[f"per_{key[0]}"] for key in stream.counted):
            raise TooManyStreams
        if sum(len(streams) for streams in self._open.values()) >= self._limits.per_process:
            raise StreamsExhausted

    def _close(self, stream: Stream) -> None:
        self._counts.subtract(stream.counted)
        for key in stream.counted:
            if not self._counts[key]:
                del self._counts[key]
        self._open[stream.order_id].discard(stream)
        if not self._open[stream.order_id]:
            del self._open[stream.order_id]
            self._views.pop(stream.order_id, None)
        if not self._open and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read_on(self) -> None:
        due = time.monotonic() + INTERVAL
        while True:
            wanted = await self._woken_within(due - time.monotonic())
            if not wanted:
                wanted, due = set(self._open), time.monotonic() + INTERVAL
            try:
                async with self._database.transaction() as tx:
                    views = await self._read(tx, wanted)
            except Exception as error:  # noqa: BLE001
                # The streams stay open; the next interval reads what this one did not.
                log.warning("followed orders were not read", error=repr(error)[:200])
                continue
            for view in views:
                self._show(view)

    async def _woken_within(self, seconds: float) -> set[UUID]:
        """The orders that were woken; none once the interval has passed."""
        if seconds <= 0:
            return set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._signal.wait()
        self._signal.clear()
        woken, self._woken = self._woken, set()
        return woken

    async def _read(self, tx: AsyncSession, order_ids: Iterable[UUID]) -> list[OrderView]:
        """The views of orders that are of another version than the one shown."""
        versions = await store.list_versions(tx, order_ids)
        known = {order_id: view.version for order_id, view in self._views.items()}
        return [
            await read_view(tx, order_id, true())
            for order_id, version in versions.items()
            if known.get(order_id) != version
        ]

    def _show(self, view: OrderView) -> None:
        streams = self._open.get(view.id)
        if not streams:
            return
        self._views[view.id] = view
        for stream in streams:
            stream.view = view
            stream.moved.set()


@refuses(OrderNotFound, StreamsExhausted, TooManyStreams)
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
