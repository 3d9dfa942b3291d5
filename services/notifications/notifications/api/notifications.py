"""What the app shows the person who is signed in."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.auth import SignedIn
from chassis.db import Tx
from chassis.ids import utcnow
from chassis.pages import Page, Paged
from chassis.wire import View
from notifications.domain.kind import Kind
from notifications.store import notifications as store

router = APIRouter(prefix="/v1/me/notifications")


class NotificationView(View):
    """A notification; `reference_*` say what it is about, `read_at` is null until it is read."""

    id: UUID
    type: Kind
    title: str
    content: str
    reference_type: str
    reference_id: UUID
    read_at: datetime | None
    created_at: datetime


class ReadAll(View):
    """How many were unread until now."""

    read: int


@router.get("")
async def list_notifications(
    caller: SignedIn,
    paging: Paged,
    tx: Tx,
    unread: Annotated[bool | None, Query(description="only unread, or only read ones")] = None,
) -> Page[NotificationView]:
    """Your notifications, newest first."""
    rows = await store.list_notifications(
        tx,
        caller.id,
        unread=unread,
        before=paging.position(UUID),
        limit=paging.limit + 1,
    )
    return paging.page(rows, NotificationView.model_validate, lambda row: row.id)


@router.post("/read-all")
async def read_all_notifications(caller: SignedIn, tx: Tx) -> ReadAll:
    """Mark all of them as read."""
    return ReadAll(read=await store.read_all(tx, caller.id, utcnow()))


@router.post("/{notification_id}/read")
async def read_notification(notification_id: UUID, caller: SignedIn, tx: Tx) -> NotificationView:
    """Mark one as read; the first reading counts."""
    notification = await store.lock_notification(tx, notification_id, user_id=caller.id)
    notification.read(utcnow())
    return NotificationView.model_validate(notification)
