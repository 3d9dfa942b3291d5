"""Queries over what people may do at this moment."""

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from identity.domain.role import ADMIN

LOCK_AUTHORITY = text("select id from roles where name = :admin for update")
ACTOR = text(
    "select u.status, c.status as customer_status, "
    "array(select distinct rp.permission from user_roles ur "
    "join role_permissions rp on rp.role_id = ur.role_id "
    "where ur.user_id = u.id) as permissions "
    "from users u join customers c on c.user_id = u.id "
    "where u.id = :user_id and u.deleted_at is null"
)
OF_USER = text(
    "select distinct rp.permission from user_roles ur "
    "join role_permissions rp on rp.role_id = ur.role_id where ur.user_id = :id"
)
# An unclaimed customer becomes that of the user who proves its e-mail address.
OF_CUSTOMER = text(
    "select distinct rp.permission from customers c join users u on u.id = c.user_id "
    "or (c.user_id is null and c.merged_into is null and u.email = c.email "
    "and u.email_verified_at is null and u.deleted_at is null) "
    "join user_roles ur on ur.user_id = u.id "
    "join role_permissions rp on rp.role_id = ur.role_id where c.id = :id"
)
OF_ROLE = text("select permission from role_permissions where role_id = :id")
OF_UNVERIFIED = text(
    "select ur.user_id, rp.permission from role_permissions rp "
    "join user_roles ur on ur.role_id = rp.role_id join users u on u.id = ur.user_id "
    "where u.email_verified_at is null and u.deleted_at is null"
)
HAS_ADMINISTRATOR = text(
    "select exists (select 1 from user_roles ur join roles r on r.id = ur.role_id "
    "join users u on u.id = ur.user_id join customers c on c.user_id = u.id "
    "where r.name = :admin and u.status = 'active' and u.deleted_at is null "
    "and c.status <> 'blocked')"
)


async def lock_authority(tx: AsyncSession) -> None:
    """Let no other transaction change what people may do until commit."""
    await tx.execute(LOCK_AUTHORITY, {"admin": ADMIN})


async def find_actor(tx: AsyncSession, user_id: UUID) -> Any | None:
    """Read a user's status, their customer's status and their permissions."""
    return (await tx.execute(ACTOR, {"user_id": user_id})).one_or_none()


async def get_permissions_of_user(tx: AsyncSession, user_id: UUID) -> set[str]:
    """Read what a user's roles permit, also while the user is paused or banned."""
    return set((await tx.execute(OF_USER, {"id": user_id})).scalars())


async def get_permissions_of_customer(tx: AsyncSession, customer_id: UUID) -> set[str]:
    """Read what the user who is this customer, or can become it, is permitted."""
    return set((await tx.execute(OF_CUSTOMER, {"id": customer_id})).scalars())


async def get_permissions_of_role(tx: AsyncSession, role_id: UUID) -> set[str]:
    """Read what a role permits."""
    return set((await tx.execute(OF_ROLE, {"id": role_id})).scalars())


async def list_permissions_of_unverified(tx: AsyncSession) -> set[tuple[UUID, str]]:
    """Read which users with an unverified e-mail address have which permission."""
    return {(row.user_id, row.permission) for row in await tx.execute(OF_UNVERIFIED)}


async def has_administrator(tx: AsyncSession) -> bool:
    """Tell whether an administrator can log in."""
    return bool(await tx.scalar(HAS_ADMINISTRATOR, {"admin": ADMIN}))
