"""Who may read the feed: made, listed and taken away by operators."""

import secrets
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from chassis.auth import Caller, permitted
from chassis.db import Tx
from chassis.errors import NotFound
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.tokens import hash_of
from chassis.wire import Body, Note, View
from feed import store
from feed.api.events import Type

router = APIRouter(prefix="/v1/admin/subscribers", tags=["subscribers"])

Reader = Annotated[Caller, Depends(permitted("ops:read"))]
Writer = Annotated[Caller, Depends(permitted("ops:write"))]
Name = Annotated[str, Path(pattern="^[a-z][a-z0-9_]{1,29}$", description="the other system")]


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
    """A subscriber with its new token, which is shown this once."""

    token: str


@router.put("/{name}")
async def put_subscriber(caller: Writer, name: Name, body: SubscriberBody, tx: Tx) -> GrantedView:
    """Let a system read the feed, or give it other types; the token is new each time."""
    token = secrets.token_urlsafe(32)
    made = await store.put_subscriber(tx, name, body.types, hash_of(token))
    await audit.record(
        tx, "feed.granted", f"subscriber:{name}", body.reason, after={"types": body.types}
    )
    shown = SubscriberView.model_validate(made).model_dump()
    return GrantedView(**shown, token=token)


@router.get("")
async def list_subscribers(caller: Reader, paging: Paged, tx: Tx) -> Page[SubscriberView]:
    """List the systems that may read the feed, by name."""
    rows = await store.list_subscribers(tx, paging.limit + 1, paging.position(str))
    return paging.page(rows, SubscriberView.model_validate, lambda row: row.name)


@router.delete("/{name}", status_code=204)
async def delete_subscriber(caller: Writer, name: Name, tx: Tx) -> None:
    """Take a system's access to the feed away, at once."""
    if not await store.delete_subscriber(tx, name):
        raise NotFound
    await audit.record(tx, "feed.revoked", f"subscriber:{name}", "")
