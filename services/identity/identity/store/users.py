"""Queries on users: by e-mail, by id, in lists, and their access."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, exists, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.constraints import violations_as
from identity.domain.role import Role, UnknownRole
from identity.domain.user import Access, User, UserRole
from identity.store import require

ACCESS = text(
    "select u.id as user_id, c.id as customer_id, u.email, "
    "u.email_verified_at is not null as email_verified, "
    "array(select r.name from user_roles ur join roles r on r.id = ur.role_id "
    "where ur.user_id = u.id order by r.name) as roles, "
    "array(select distinct rp.permission from user_roles ur "
    "join role_permissions rp on rp.role_id = ur.role_id "
    "where ur.user_id = u.id order by rp.permission) as permissions, "
    "c.status = 'active' as may_buy, u.version, "
    "array(select r.id from user_roles ur join roles r on r.id = ur.role_id "
    "where ur.user_id = u.id order by r.name) as role_ids, "
    "array(select r.version from user_roles ur join roles r on r.id = ur.role_id "
    "where ur.user_id = u.id order by r.name) as role_versions "
    "from users u join customers c on c.user_id = u.id where u.id = :user_id"
)
ROLES = text(
    "select ur.user_id, array_agg(r.name order by r.name) as names "
    "from user_roles ur join roles r on r.id = ur.role_id "
    "where ur.user_id = any(:user_ids) group by ur.user_id"
)
ADD_ROLES = text(
    "insert into user_roles (user_id, role_id) "
    "select :user_id, id from roles where name = any(:names) on conflict do nothing"
)
REMOVE_ROLES = text(
    "delete from user_roles using roles where user_id = :user_id and roles.id = role_id "
    "and not roles.name = any(:names)"
)


@dataclass(frozen=True, slots=True)
class UserFilter:
    """The users that a list shows; None matches every user."""

    email: str | None = None
    status: str | None = None
    role: str | None = None


def _not_deleted() -> Select[User]:
    return select(User).where(User.deleted_at.is_(None))


async def find_user_by_email(tx: AsyncSession, email: str) -> User | None:
    """The user of an e-mail address."""
    found: User | None = await tx.scalar(_not_deleted().where(User.email == email))
    return found


async def get_user(tx: AsyncSession, user_id: UUID) -> User:
    """The user; raises NotFound."""
    return require(await tx.scalar(_not_deleted().where(User.id == user_id)))


async def lock_user(tx: AsyncSession, user_id: UUID) -> User:
    """Lock the user; raises NotFound."""
    return require(await tx.scalar(_not_deleted().where(User.id == user_id).with_for_update()))


async def share_lock_user(tx: AsyncSession, user_id: UUID) -> User:
    """Lock the user against changes but not against other share locks; raises NotFound."""
    return require(
        await tx.scalar(_not_deleted().where(User.id == user_id).with_for_update(read=True))
    )


async def list_users(
    tx: AsyncSession, filters: UserFilter, *, after: UUID | None, limit: int
) -> Sequence[User]:
    """Users, the newest first, up to `limit` + 1, so that the caller sees whether more follow."""
    query = _not_deleted().order_by(User.id.desc()).limit(limit + 1)
    if filters.email is not None:
        query = query.where(User.email == filters.email)
    if filters.status is not None:
        query = query.where(User.status == filters.status)
    if filters.role is not None:
        named = select(UserRole.user_id).join(Role, Role.id == UserRole.role_id)
        query = query.where(
            exists(named.where(UserRole.user_id == User.id, Role.name == filters.role))
        )
    if after is not None:
        query = query.where(User.id < after)
    return (await tx.scalars(query)).all()


async def get_access(tx: AsyncSession, user_id: UUID, session_id: UUID) -> Access:
    """The claims of a user's access token."""
    row = (await tx.execute(ACCESS, {"user_id": user_id})).one()._asdict()
    roles = zip(row.pop("role_ids"), row.pop("role_versions"), strict=True)
    generations = {user_id: row.pop("version"), session_id: 0, **dict(roles)}
    return Access(session_id=session_id, generations=generations, **row)


async def list_role_names(tx: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The names of the roles of several users, by user."""
    rows = await tx.execute(ROLES, {"user_ids": list(user_ids)})
    return {row.user_id: row.names for row in rows}


async def add_roles(tx: AsyncSession, user_id: UUID, names: Sequence[str]) -> None:
    """Assign further roles to a user; raises UnknownRole."""
    await tx.flush()
    # Another transaction may delete the role after the statement has read it.
    with violations_as(fk_user_roles_role_id=UnknownRole):
        await tx.execute(ADD_ROLES, {"user_id": user_id, "names": list(names)})


async def set_roles(tx: AsyncSession, user_id: UUID, names: Sequence[str]) -> None:
    """Assign exactly these roles to a user; raises UnknownRole."""
    await add_roles(tx, user_id, names)
    await tx.execute(REMOVE_ROLES, {"user_id": user_id, "names": list(names)})
