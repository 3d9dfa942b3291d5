"""Reading events over HTTP, with a subscriber's token."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from pydantic import Field

from chassis import context
from chassis.errors import Forbidden, Malformed, Problem, Unauthenticated
from chassis.pages import MAX_LIMIT
from chassis.tokens import hash_of
from chassis.wire import View
from feed import store
from feed.domain import TYPE, Subscriber

router = APIRouter(prefix="/v1/events", tags=["events"])

LARGEST = 2**63 - 1
Type = Annotated[str, Field(max_length=100, pattern=f"^({TYPE.pattern})$")]


class CursorExpired(Problem):
    """Events behind this cursor are no longer kept: begin anew, without a cursor."""

    status = 410
    code = "cursor_expired"


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
    """Events in the order of the log. Ask with `next_cursor` again, also when there are none."""

    items: list[CloudEvent]
    next_cursor: str


async def _reader(
    request: Request,
    token: Annotated[
        str | None, Header(alias="X-Feed-Token", max_length=200, description="a subscriber's token")
    ] = None,
) -> Subscriber:
    # In a transaction of its own: what the caller does next may have to ask the broker.
    async with request.app.state.database.transaction() as tx:
        found = await store.find_subscriber(tx, hash_of(token)) if token else None
    if found is None:
        raise Unauthenticated("The feed needs the token of a subscriber in X-Feed-Token.")
    context.set_actor(f"subscriber:{found.name}")
    return found


Reader = Annotated[Subscriber, Depends(_reader)]


def _position(cursor: str) -> int:
    """The position behind which to read; -1 stands before the first."""
    if not cursor:
        return -1
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor) > LARGEST:
        raise Malformed("The cursor is not one this feed gave out.", code="bad_cursor")
    return int(cursor)


@router.get("", response_model=EventPage)
async def list_events(
    request: Request,
    *,
    reader: Reader,
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
    """Read events in the order of the log, those after a cursor."""
    wanted = type or []
    if not reader.may_read(wanted):
        raise Forbidden(f"You may read {', '.join(reader.types)}.")
    position = _position(after)
    async with request.app.state.database.transaction() as tx:
        # Asked first: what comes meanwhile is behind the cursor given out, and is read next time.
        oldest, newest = await store.get_bounds(tx) or (0, position)
        if after and position + 1 < oldest:
            raise CursorExpired
        rows = await store.list_events(
            tx,
            reader.types,
            after=position,
            until=newest,
            limit=limit,
            types=wanted,
            subject=subject,
            source=source,
        )
    reached = rows[-1][0] if len(rows) == limit else max(newest, position)
    return _page([document for _, document in rows], str(reached) if reached >= 0 else after)


def _page(documents: list[bytes], cursor: str) -> Response:
    """The page around documents that are taken as they stand."""
    body = b'{"items":[' + b",".join(documents) + b'],"next_cursor":"' + cursor.encode() + b'"}'
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
