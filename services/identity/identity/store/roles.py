"""Queries on roles and permissions, and on who holds which at this moment."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from identity.domain.role import (
    ADMIN,
    Permission,
    Role,
    RolePermission,
    UnknownPermission,
    UnknownRole,
)
from identity.domain.user import UserRole
from identity.store import require

ADD_PERMISSIONS = text(
    "insert into role_permissions (role_id, permission) "
    "select :role_id, unnest(cast(:names as text[])) on conflict do nothing"
)
LOCK_AUTHORITY = text("select id from roles where name = :admin for update")
ACTOR = text(
    "select u.status, c.status as customer_status, "
    "array(select distinct rp.permission from user_roles ur "
    "join role_permissions rp on rp.role_id = ur.role_id "
    "where ur.user_id = u.id) as permissions "
    "from users u join customers c on c.user_id = u.id "
    "where u.id = :user_id and u.deleted_at is null"
)
PERMISSIONS_OF_USER = text(
    "select distinct rp.permission from user_roles ur "
    "join role_permissions rp on rp.role_id = ur.role_id where ur.user_id = :id"
)
# The user who verifies an unclaimed customer's e-mail address will become that customer.
PERMISSIONS_OF_CUSTOMER = text(
    "select distinct rp.permission from customers c join users u on u.id = c.user_id "
    "or (c.user_id is null and c.merged_into is null and u.email = c.email "
    "and u.email_verified_at is null and u.deleted_at is null) "
    "join user_roles ur on ur.user_id = u.id "
    "join role_permissions rp on rp.role_id = ur.role_id where c.id = :id"
)
PERMISSIONS_OF_ROLE = text("select permission from role_permissions where role_id = :id")
PERMISSIONS_OF_UNVERIFIED = text(
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


async def get_role(tx: AsyncSession, role_id: UUID) -> Role:
    """The role; raises NotFound."""
    return require(await tx.scalar(select(Role).where(Role.id == role_id)))


async def lock_role(tx: AsyncSession, role_id: UUID) -> Role:
    """Lock the role; raises NotFound."""
    return require(await tx.scalar(select(Role).where(Role.id == role_id).with_for_update()))


async def list_roles(tx: AsyncSession, *, after: str | None, limit: int) -> Sequence[Role]:
    """Roles by name, up to `limit` + 1."""
    query = select(Role).order_by(Role.name).limit(limit + 1)
    if after is not None:
        query = query.where(Role.name > after)
    return (await tx.scalars(query)).all()


async def list_permissions(tx: AsyncSession) -> Sequence[Permission]:
    """Every permission, by name."""
    return (await tx.scalars(select(Permission).order_by(Permission.name))).all()


async def list_permissions_by_role(
    tx: AsyncSession, role_ids: Sequence[UUID]
) -> dict[UUID, list[str]]:
    """The permissions of several roles, by role."""
    rows = await tx.execute(
        select(RolePermission.role_id, RolePermission.permission)
        .where(RolePermission.role_id.in_(role_ids))
        .order_by(RolePermission.permission)
    )
    found: dict[UUID, list[str]] = {}
    for role_id, permission in rows:
        found.setdefault(role_id, []).append(permission)
    return found


async def set_permissions(tx: AsyncSession, role_id: UUID, names: Sequence[str]) -> None:
    """Grant a role exactly these permissions; raises UnknownPermission."""
    known = await tx.scalars(select(Permission.name).where(Permission.name.in_(names)))
    if set(known) != set(names):
        raise UnknownPermission
    await tx.flush()
    await tx.execute(ADD_PERMISSIONS, {"role_id": role_id, "names": list(names)})
    await tx.execute(
        delete(RolePermission).where(
            RolePermission.role_id == role_id, RolePermission.permission.not_in(names)
        )
    )


async def ensure_roles_exist(tx: AsyncSession, names: Collection[str]) -> None:
    """Raise UnknownRole unless every name is that of a role."""
    known = await tx.scalars(select(Role.name).where(Role.name.in_(names)))
    if set(known) != set(names):
        raise UnknownRole


async def is_assigned(tx: AsyncSession, role_id: UUID) -> bool:
    """Whether any user has this role."""
    return bool(await tx.scalar(select(exists().where(UserRole.role_id == role_id))))


async def delete_role(tx: AsyncSession, role: Role) -> None:
    """Delete a role and its permissions."""
    await tx.execute(delete(Role).where(Role.id == role.id))


async def lock_authority(tx: AsyncSession) -> None:
    """Serialise changes of authority: no other transaction makes one until commit."""
    await tx.execute(LOCK_AUTHORITY, {"admin": ADMIN})


async def find_actor(tx: AsyncSession, user_id: UUID) -> Any | None:
    """A user's `status`, their `customer_status` and `permissions`; None for an unknown user."""
    return (await tx.execute(ACTOR, {"user_id": user_id})).one_or_none()


async def get_permissions_of_user(tx: AsyncSession, user_id: UUID) -> set[str]:
    """The permissions of a user's roles, also of an inactive or banned user."""
    return set((await tx.execute(PERMISSIONS_OF_USER, {"id": user_id})).scalars())


async def get_permissions_of_customer(tx: AsyncSession, customer_id: UUID) -> set[str]:
    """The permissions of the user who is this customer or can claim it."""
    return set((await tx.execute(PERMISSIONS_OF_CUSTOMER, {"id": customer_id})).scalars())


async def get_permissions_of_role(tx: AsyncSession, role_id: UUID) -> set[str]:
    """The permissions of a role."""
    return set((await tx.execute(PERMISSIONS_OF_ROLE, {"id": role_id})).scalars())


async def list_permissions_of_unverified(tx: AsyncSession) -> set[tuple[UUID, str]]:
    """Pairs of user and permission, for all users with an unverified e-mail address."""
    return {(row.user_id, row.permission) for row in await tx.execute(PERMISSIONS_OF_UNVERIFIED)}


async def has_administrator(tx: AsyncSession) -> bool:
    """Whether an administrator can log in."""
    return bool(await tx.scalar(HAS_ADMINISTRATOR, {"admin": ADMIN}))
