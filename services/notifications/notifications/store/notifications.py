"""Queries on notifications in the app."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from notifications.domain import Notification

ADD = insert(Notification.__table__).on_conflict_do_nothing()  # type: ignore[arg-type]


async def add_notifications(tx: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Show these; what was shown already stays as it is."""
    if rows:
        await tx.execute(ADD, rows)


async def list_notifications(
    tx: AsyncSession, user_id: UUID, *, unread: bool | None, before: UUID | None, limit: int
) -> Sequence[Notification]:
    """A person's notifications, newest first."""
    query = select(Notification).where(Notification.user_id == user_id)
    if unread is not None:
        query = query.where(
            Notification.read_at.is_(None) if unread else Notification.read_at.is_not(None)
        )
    if before is not None:
        query = query.where(Notification.id < before)
    return (await tx.scalars(query.order_by(Notification.id.desc()).limit(limit))).all()


async def lock_notification(
    tx: AsyncSession, notification_id: UUID, *, user_id: UUID
) -> Notification:
    """One of a person's notifications, locked; raises NotFound."""
    query = select(Notification).where(
        Notification.id == notification_id, Notification.user_id == user_id
    )
    found = await tx.scalar(query.with_for_update())
    if found is None:
        raise NotFound
    return found


async def read_all(tx: AsyncSession, user_id: UUID, now: datetime) -> int:
    """Mark all of a person's notifications as read; tells how many were not."""
    result = await tx.execute(
        update(Notification)
        .where(Notification.user_id == user_id, Notification.read_at.is_(None))
        .values(read_at=now)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)  # noqa: S101
    return result.rowcount


async def delete_notifications(tx: AsyncSession, user_id: UUID, *, before: datetime) -> None:
    """Delete what a person was shown up to a moment."""
    await tx.execute(
        delete(Notification)
        .where(Notification.user_id == user_id, Notification.created_at <= before)
        .execution_options(synchronize_session=False)
    )
