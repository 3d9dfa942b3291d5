"""Routes for subscribers, which read events and request snapshots, and for their operators."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import Field

from chassis import context, outbox
from chassis.auth import Caller, require_permission
from chassis.broker import Broker
from chassis.db import Tx
from chassis.errors import Forbidden, Gone, Invalid, NotFound, Refused, Unauthenticated, refuses
from chassis.ids import new_id
from chassis.ops import audit
from chassis.pages import MAX_LIMIT, BadCursor, Page, Paged
from chassis.tokens import hash_of
from chassis.wire import Body, Note, View
from contracts.catalog import ProductSnapshot, RequestProductSnapshots
from contracts.inventory import RequestStockSnapshots, StockSnapshot
from feed import store
from feed.domain import TYPE, Subscriber

router = APIRouter(prefix="/v1/events", tags=["events"])
admin_router = APIRouter(prefix="/v1/admin/subscribers", tags=["subscribers"])

SnapshotRequest = type[RequestProductSnapshots] | type[RequestStockSnapshots]

MAX_POSITION = 2**63 - 1
SNAPSHOT_REQUESTS: Mapping[str, SnapshotRequest] = {
    ProductSnapshot.routing_key(): RequestProductSnapshots,
    StockSnapshot.routing_key(): RequestStockSnapshots,
}

OpsReader = Annotated[Caller, Depends(require_permission("ops:read"))]
OpsWriter = Annotated[Caller, Depends(require_permission("ops:write"))]
Name = Annotated[str, Path(pattern="^[a-z][a-z0-9_]{1,29}$", description="the other system")]
Type = Annotated[str, Field(max_length=100, pattern=f"^({TYPE.pattern})$")]


class CursorExpired(Gone):
    """The feed no longer holds the events after this cursor: start again without a cursor."""

    code = "cursor_expired"


class NoSuchSnapshot(Invalid):
    """There is no such snapshot."""

    code = "no_such_snapshot"


class NoSuchQueue(Refused):
    """You have no such queue on the broker."""

    code = "no_such_queue"


class CloudEvent(View):
    """An event with its attributes, as on the broker; `data` are the very bytes sent there."""

    specversion: str
    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    dataschema: str
    sequence: int
    correlationid: str
    causationid: UUID | None = None
    actor: str
    traceparent: str
    data: dict[str, Any]


class EventPage(View):
    """Events in the order of the log. Poll again with `next_cursor`, also after an empty page."""

    items: list[CloudEvent]
    next_cursor: str


class SnapshotBody(Body):
    """The types of the snapshots, and the subscriber's own queue that receives them."""

    types: list[str] = Field(min_length=1, max_length=10, examples=[sorted(SNAPSHOT_REQUESTS)])
    queue: str = Field("events", pattern="^[a-z][a-z0-9_]{1,29}$", description="ext.<system>.NAME")


class SnapshotView(View):
    """The accepted request; the last snapshot message carries its id."""

    request_id: UUID
    queue: str


class SubscriberBody(Body):
    """What a subscriber may read."""

    types: list[Type] = Field(
        ["*"], min_length=1, max_length=50, description="`*`, `orders.*` or single types"
    )
    reason: Note = Field("", description="why, for the audit trail")


class SubscriberView(View):
    """Another system that reads the feed."""

    name: str
    types: list[str]
    created_at: datetime
    updated_at: datetime


class GrantedView(SubscriberView):
    """A subscriber with its new token, which no later answer repeats."""

    token: str


@refuses(Unauthenticated)
async def authenticate(
    request: Request,
    token: Annotated[
        str | None, Header(alias="X-Feed-Token", max_length=200, description="a subscriber's token")
    ] = None,
) -> Subscriber:
    """The subscriber with the request's token; raises Unauthenticated."""
    # A transaction of its own: some routes call the broker next, and none may be open then.
    async with request.app.state.database.transaction() as tx:
        found = await store.find_subscriber(tx, hash_of(token)) if token else None
    if found is None:
        raise Unauthenticated("The feed needs the token of a subscriber in X-Feed-Token.")
    context.set_actor(f"subscriber:{found.name}")
    return found


AuthenticatedSubscriber = Annotated[Subscriber, Depends(authenticate)]


def _parse_cursor(cursor: str) -> int:
    """The position after which to read; -1 stands before the first."""
    if not cursor:
        return -1
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor) > MAX_POSITION:
        raise BadCursor("The cursor is not one this feed gave out.")
    return int(cursor)


def _ensure_may_read(subscriber: Subscriber, types: list[str]) -> None:
    if not subscriber.may_read(types):
        raise Forbidden(f"You may read {', '.join(subscriber.types)}.")


@router.get("", response_model=EventPage)
@refuses(BadCursor, Forbidden, CursorExpired)
async def list_events(
    request: Request,
    *,
    subscriber: AuthenticatedSubscriber,
    after: Annotated[
        str, Query(max_length=20, description="`next_cursor` of the page before; none: the oldest")
    ] = "",
    type: Annotated[  # noqa: A002 (the name clients use)
        list[Type] | None,
        Query(max_length=50, description="`orders.OrderPlaced`, one version of it, or `orders.*`"),
    ] = None,
    subject: Annotated[
        str | None, Query(max_length=100, description="the id of one aggregate")
    ] = None,
    source: Annotated[
        str | None, Query(max_length=100, description="its kind, as `/orders/order`")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="events a page")] = 100,
) -> Response:
    """List the events after a cursor, in the order of the log."""
    requested = type or []
    _ensure_may_read(subscriber, requested)
    position = _parse_cursor(after)
    async with request.app.state.database.transaction() as tx:
        # Read before the events: an event appended meanwhile stays after the returned cursor.
        oldest, newest = await store.get_bounds(tx) or (0, position)
        if after and position + 1 < oldest:
            raise CursorExpired
        rows = await store.list_events(
            tx,
            subscriber.types,
            after=position,
            until=newest,
            limit=limit,
            types=requested,
            subject=subject,
            source=source,
        )
    reached = rows[-1][0] if len(rows) == limit else max(newest, position)
    return _page([document for _, document in rows], str(reached) if reached >= 0 else after)


def _page(documents: list[bytes], cursor: str) -> Response:
    """Join the stored documents unparsed, so that their bytes stay those of the broker."""
    body = b'{"items":[' + b",".join(documents) + b'],"next_cursor":"' + cursor.encode() + b'"}'
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.post("/snapshots", status_code=202)
@refuses(Forbidden, NoSuchQueue, NoSuchSnapshot)
async def request_snapshots(
    request: Request,
    subscriber: AuthenticatedSubscriber,
    body: SnapshotBody,
) -> SnapshotView:
    """Have the owners send a snapshot of each aggregate to one of your queues."""
    if unknown := sorted(set(body.types) - SNAPSHOT_REQUESTS.keys()):
        known = ", ".join(sorted(SNAPSHOT_REQUESTS))
        raise NoSuchSnapshot(f"{', '.join(unknown)}: there are {known}.")
    _ensure_may_read(subscriber, body.types)
    queue = f"ext.{subscriber.name}.{body.queue}"
    broker: Broker = request.app.state.broker
    if not await broker.has_queue(queue):
        raise NoSuchQueue(f"There is no queue {queue}: an operator creates it.")
    request_id = new_id()
    requests = [
        SNAPSHOT_REQUESTS[name](operation_id=new_id(), request_id=request_id, reply_to=queue)
        for name in sorted(set(body.types))
    ]
    async with request.app.state.database.transaction() as tx:
        outbox.add(tx, *requests)
    return SnapshotView(request_id=request_id, queue=queue)


@admin_router.put("/{name}")
async def put_subscriber(
    caller: OpsWriter, name: Name, body: SubscriberBody, tx: Tx
) -> GrantedView:
    """Let a system read the feed, or replace the types it may read; either issues a new token."""
    token = secrets.token_urlsafe(32)
    stored = await store.upsert_subscriber(tx, name, body.types, hash_of(token))
    await audit.record(
        tx, "feed.granted", f"subscriber:{name}", body.reason, after={"types": body.types}
    )
    return GrantedView(**SubscriberView.model_validate(stored).model_dump(), token=token)


@admin_router.get("")
async def list_subscribers(caller: OpsReader, paging: Paged, tx: Tx) -> Page[SubscriberView]:
    """List the systems that may read the feed, by name."""
    rows = await store.list_subscribers(tx, paging.limit + 1, paging.position(str))
    return paging.page(rows, SubscriberView.model_validate, lambda row: row.name)


@admin_router.delete("/{name}", status_code=204)
@refuses(NotFound)
async def delete_subscriber(caller: OpsWriter, name: Name, tx: Tx) -> None:
    """Revoke a system's access to the feed at once."""
    if not await store.delete_subscriber(tx, name):
        raise NotFound
    await audit.record(tx, "feed.revoked", f"subscriber:{name}", "")
