"""Queries over roles and permissions."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import delete, exists, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from identity.domain.role import Permission, Role, RolePermission, UnknownPermission, UnknownRole
from identity.domain.user import UserRole

ADD_PERMISSIONS = text(
    "insert into role_permissions (role_id, permission) "
    "select :role_id, unnest(cast(:names as text[])) on conflict do nothing"
)


async def get_role(tx: AsyncSession, role_id: UUID) -> Role:
    """Read a role; raises NotFound."""
    return _there(await tx.scalar(select(Role).where(Role.id == role_id)))


async def lock_role(tx: AsyncSession, role_id: UUID) -> Role:
    """Take a role's row until commit; raises NotFound."""
    return _there(await tx.scalar(select(Role).where(Role.id == role_id).with_for_update()))


def _there(role: Role | None) -> Role:
    if role is None:
        raise NotFound
    return role


async def list_roles(tx: AsyncSession, *, after: str | None, limit: int) -> Sequence[Role]:
    """Read roles by name, one more than `limit` where there is more."""
    query = select(Role).order_by(Role.name).limit(limit + 1)
    if after is not None:
        query = query.where(Role.name > after)
    return (await tx.scalars(query)).all()


async def list_permissions(tx: AsyncSession) -> Sequence[Permission]:
    """Read every permission there is."""
    return (await tx.scalars(select(Permission).order_by(Permission.name))).all()


async def list_permissions_of(tx: AsyncSession, role_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """Read the permissions of several roles."""
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
    """Give a role exactly these permissions; raises UnknownPermission."""
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


async def check_roles_exist(tx: AsyncSession, names: Collection[str]) -> None:
    """Raise UnknownRole for a name that no role has."""
    known = await tx.scalars(select(Role.name).where(Role.name.in_(names)))
    if set(known) != set(names):
        raise UnknownRole


async def is_given(tx: AsyncSession, role_id: UUID) -> bool:
    """Tell whether somebody has this role."""
    return bool(await tx.scalar(select(exists().where(UserRole.role_id == role_id))))


async def delete_role(tx: AsyncSession, role: Role) -> None:
    """Delete a role with what it permits."""
    await tx.execute(delete(Role).where(Role.id == role.id))
