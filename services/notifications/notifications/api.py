"""Routes: a user's notifications and preferences, and the queue of mails for staff."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from chassis import etag
from chassis.auth import SignedIn, require_permission
from chassis.db import Tx
from chassis.errors import Invalid, NotFound, refuses
from chassis.ids import utcnow
from chassis.pages import Page, Paged
from chassis.wire import Body, SafeText, View
from notifications import store
from notifications.domain.email import EmailExpired, EmailNotFailed, EmailStatus
from notifications.domain.notification import (
    CHANNEL_OPTIONS,
    Channel,
    ChannelNotOffered,
    Kind,
    NotificationRequired,
    Preferences,
    is_required,
)
from notifications.service import MailDispatcher

notifications = APIRouter(prefix="/v1/me/notifications")
preferences = APIRouter(prefix="/v1/me/preferences")
emails = APIRouter(prefix="/v1/admin/emails")
ROUTERS = (notifications, preferences, emails)

READ = Depends(require_permission("notifications:read"))
WRITE = Depends(require_permission("notifications:write"))

Recipient = Annotated[SafeText, Field(max_length=255)]


class NotificationView(View):
    """A notification about `reference_*`, such as an order; `read_at` is null until it is read."""

    id: UUID
    type: Kind
    title: str
    content: str
    reference_type: str
    reference_id: UUID
    read_at: datetime | None
    created_at: datetime


class ReadAll(View):
    """How many notifications were unread before."""

    read: int


@notifications.get("")
async def list_notifications(
    caller: SignedIn,
    paging: Paged,
    tx: Tx,
    unread: Annotated[bool | None, Query(description="only unread, or only read ones")] = None,
) -> Page[NotificationView]:
    """List your notifications, newest first."""
    rows = await store.list_notifications(
        tx,
        caller.id,
        unread=unread,
        before=paging.position(UUID),
        limit=paging.limit + 1,
    )
    return paging.page(rows, NotificationView.model_validate, lambda row: row.id)


@notifications.post("/read-all")
async def read_all_notifications(caller: SignedIn, tx: Tx) -> ReadAll:
    """Mark all your notifications as read."""
    return ReadAll(read=await store.mark_all_read(tx, caller.id, utcnow()))


@notifications.post("/{notification_id}/read")
@refuses(NotFound)
async def read_notification(notification_id: UUID, caller: SignedIn, tx: Tx) -> NotificationView:
    """Mark a notification as read; a repeat leaves the first `read_at`."""
    notification = await store.lock_notification(tx, notification_id, user_id=caller.id)
    notification.mark_read(utcnow())
    return NotificationView.model_validate(notification)


class NamedTwice(Invalid):
    """Name each type and channel once."""

    code = "preference_named_twice"


class PreferenceBody(Body):
    """One type by one channel: on or off."""

    type: Kind
    channel: Channel
    enabled: bool


class PreferencesBody(Body):
    """All preferences; a type and channel that is not listed is on."""

    preferences: Annotated[list[PreferenceBody], Field(max_length=len(CHANNEL_OPTIONS))]


class PreferenceView(View):
    """One type by one channel; a `required` one cannot be switched off."""

    type: Kind
    channel: Channel
    enabled: bool
    required: bool


class PreferencesView(View):
    """Every type by each of its channels."""

    preferences: list[PreferenceView]

    @classmethod
    def of(cls, preferences: Preferences) -> "PreferencesView":
        return cls(
            preferences=[
                PreferenceView(
                    type=kind,
                    channel=channel,
                    enabled=preferences.is_enabled((kind, channel)),
                    required=is_required(kind, channel),
                )
                for kind, channel in CHANNEL_OPTIONS
            ]
        )


@preferences.get("")
async def get_preferences(caller: SignedIn, tx: Tx, response: Response) -> PreferencesView:
    """Return which notifications you receive, by channel."""
    stored = await store.get_preferences(tx, caller.id)
    etag.set_header(response, stored.version)
    return PreferencesView.of(stored)


@preferences.put("")
@refuses(NotificationRequired, ChannelNotOffered, NamedTwice)
async def change_preferences(
    body: PreferencesBody, expected: etag.IfMatch, caller: SignedIn, tx: Tx, response: Response
) -> PreferencesView:
    """Switch notifications on and off; 409 `notification_required` for a required one."""
    wanted = {(each.type, each.channel): each.enabled for each in body.preferences}
    if len(wanted) < len(body.preferences):
        raise NamedTwice
    stored = await store.lock_preferences(tx, caller.id)
    etag.check(stored.version, expected)
    stored.switch_off([option for option, enabled in wanted.items() if not enabled])
    etag.set_header(response, stored.version)
    return PreferencesView.of(stored)


class EmailView(View):
    """A mail in the queue, without its text.

    `due_at` is the time of the next attempt, or while it is `processing` the end of the lease.
    """

    id: UUID
    type: Kind
    locale: str
    user_id: UUID | None
    recipient: str
    subject: str
    reference_type: str
    reference_id: UUID
    status: EmailStatus
    attempts: int
    due_at: datetime | None
    expires_at: datetime
    last_error: str | None
    sent_at: datetime | None
    created_at: datetime
    updated_at: datetime


@emails.get("", dependencies=[READ])
async def list_emails(
    paging: Paged,
    tx: Tx,
    status: EmailStatus | None = None,
    recipient: Recipient | None = None,
    reference_id: Annotated[
        UUID | None, Query(description="the order, shipment, token or refund")
    ] = None,
) -> Page[EmailView]:
    """List mails, newest first, by status, whole recipient or reference."""
    rows = await store.list_emails(
        tx,
        status=status,
        recipient=recipient,
        reference_id=reference_id,
        before=paging.position(UUID),
        limit=paging.limit + 1,
    )
    return paging.page(rows, EmailView.model_validate, lambda row: row.id)


@emails.get("/{email_id}", dependencies=[READ])
@refuses(NotFound)
async def get_email(email_id: UUID, tx: Tx) -> EmailView:
    """Return one mail."""
    return EmailView.model_validate(await store.get_email(tx, email_id))


@emails.post("/{email_id}/retry", status_code=202, dependencies=[WRITE])
@refuses(NotFound, EmailExpired, EmailNotFailed)
async def retry_email(email_id: UUID, tx: Tx, request: Request) -> EmailView:
    """Queue a failed mail again; 409 `email_not_failed` or `email_expired`."""
    email = await store.lock_email(tx, email_id)
    email.retry(utcnow())
    await tx.flush()
    await tx.refresh(email)
    dispatcher: MailDispatcher = request.app.state.resources.mail_dispatcher
    dispatcher.notify_after_commit(tx)
    return EmailView.model_validate(email)
