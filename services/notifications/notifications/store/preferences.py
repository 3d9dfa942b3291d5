"""Queries on preferences."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain import Preferences


async def get_preferences(tx: AsyncSession, user_id: UUID) -> Preferences:
    """What a person switched off; nothing, as version 0, for whoever never said."""
    found = await tx.get(Preferences, user_id)
    return found or Preferences(user_id=user_id, switched_off=[], version=0)


async def lock_preferences(tx: AsyncSession, user_id: UUID) -> Preferences:
    """The same as a locked row, made when there was none."""
    first = insert(Preferences).values(user_id=user_id, switched_off=[], version=0)
    await tx.execute(first.on_conflict_do_nothing())
    return await tx.get_one(Preferences, user_id, with_for_update=True)


async def list_switched_off(tx: AsyncSession, user_ids: Collection[UUID]) -> set[tuple[UUID, str]]:
    """What these people switched off, as (person, `type:channel`)."""
    rows = await tx.execute(
        select(Preferences.user_id, Preferences.switched_off).where(
            Preferences.user_id.in_(user_ids)
        )
    )
    return {(user_id, name) for user_id, names in rows for name in names}


async def delete_preferences(tx: AsyncSession, user_id: UUID, *, before: datetime) -> None:
    """Delete what a person switched off, unless they changed it after a moment."""
    await tx.execute(
        delete(Preferences)
        .where(Preferences.user_id == user_id, Preferences.updated_at <= before)
        .execution_options(synchronize_session=False)
    )
