"""The queue of mails, as staff see it; what a mail says is not shown."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from chassis.auth import require_permission
from chassis.db import Tx
from chassis.ids import utcnow
from chassis.pages import Page, Paged
from chassis.wire import SafeText, View
from notifications.domain import EmailStatus
from notifications.domain.kind import Kind
from notifications.sending.mailroom import Mailroom
from notifications.store import emails as store

router = APIRouter(prefix="/v1/admin/emails")
READ = Depends(require_permission("notifications:read"))
WRITE = Depends(require_permission("notifications:write"))

Recipient = Annotated[SafeText, Field(max_length=255)]


class EmailView(View):
    """A mail in the queue, on its way, sent or failed.

    `due_at` is when it is tried next, or while it is `processing` the end of its sender's lease.
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


@router.get("", dependencies=[READ])
async def list_emails(
    paging: Paged,
    tx: Tx,
    status: EmailStatus | None = None,
    recipient: Recipient | None = None,
    reference_id: Annotated[
        UUID | None, Query(description="the order, shipment, token or refund")
    ] = None,
) -> Page[EmailView]:
    """Mails, newest first, by status, whole recipient or what they are about."""
    rows = await store.list_emails(
        tx,
        status=status,
        recipient=recipient,
        reference_id=reference_id,
        before=paging.position(UUID),
        limit=paging.limit + 1,
    )
    return paging.page(rows, EmailView.model_validate, lambda row: row.id)


@router.get("/{email_id}", dependencies=[READ])
async def get_email(email_id: UUID, tx: Tx) -> EmailView:
    """One mail."""
    return EmailView.model_validate(await store.get_email(tx, email_id))


@router.post("/{email_id}/retry", status_code=202, dependencies=[WRITE])
async def retry_email(email_id: UUID, tx: Tx, request: Request) -> EmailView:
    """Send a mail that failed once more; 409 `email_not_failed` or `email_expired`."""
    email = await store.lock_email(tx, email_id)
    email.retry(utcnow())
    await tx.flush()
    await tx.refresh(email)
    mailroom: Mailroom = request.app.state.resources.mailroom
    mailroom.ring_after_commit(tx)
    return EmailView.model_validate(email)
