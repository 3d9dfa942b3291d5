"""Queries over users: by e-mail, by id, in lists, and what they may do."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, exists, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.constraints import violations_as
from chassis.errors import NotFound
from identity.domain.access import Access
from identity.domain.role import Role, UnknownRole
from identity.domain.user import User, UserRole

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
DROP_ROLES = text(
    "delete from user_roles using roles where user_id = :user_id and roles.id = role_id "
    "and not roles.name = any(:names)"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which users a list shows; None asks nothing."""

    email: str | None = None
    status: str | None = None
    role: str | None = None


def _living() -> Select[User]:
    return select(User).where(User.deleted_at.is_(None))


async def find_user_by_email(tx: AsyncSession, email: str) -> User | None:
    """Read the user of an e-mail address."""
    found: User | None = await tx.scalar(_living().where(User.email == email))
    return found


async def get_user(tx: AsyncSession, user_id: UUID) -> User:
    """Read a user; raises NotFound."""
    return _there(await tx.scalar(_living().where(User.id == user_id)))


async def lock_user(tx: AsyncSession, user_id: UUID) -> User:
    """Take a user's row until commit; raises NotFound."""
    return _there(await tx.scalar(_living().where(User.id == user_id).with_for_update()))


async def hold_user(tx: AsyncSession, user_id: UUID) -> User:
    """Read a user whom nobody shall change until commit, such as while a session begins."""
    return _there(await tx.scalar(_living().where(User.id == user_id).with_for_update(read=True)))


def _there(user: User | None) -> User:
    if user is None:
        raise NotFound
    return user


async def list_users(
    tx: AsyncSession, wanted: Wanted, *, after: UUID | None, limit: int
) -> Sequence[User]:
    """Read users, the newest first, one more than `limit` where there is more."""
    query = _living().order_by(User.id.desc()).limit(limit + 1)
    if wanted.email is not None:
        query = query.where(User.email == wanted.email)
    if wanted.status is not None:
        query = query.where(User.status == wanted.status)
    if wanted.role is not None:
        named = select(UserRole.user_id).join(Role, Role.id == UserRole.role_id)
        query = query.where(
            exists(named.where(UserRole.user_id == User.id, Role.name == wanted.role))
        )
    if after is not None:
        query = query.where(User.id < after)
    return (await tx.scalars(query)).all()


async def get_access(tx: AsyncSession, user_id: UUID, session_id: UUID) -> Access:
    """Read what a user's access token shall say."""
    row = (await tx.execute(ACCESS, {"user_id": user_id})).one()._asdict()
    roles = zip(row.pop("role_ids"), row.pop("role_versions"), strict=True)
    generations = {user_id: row.pop("version"), session_id: 0, **dict(roles)}
    return Access(session_id=session_id, generations=generations, **row)


async def list_roles_of(tx: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """Read the names of the roles of several users."""
    rows = await tx.execute(ROLES, {"user_ids": list(user_ids)})
    return {row.user_id: row.names for row in rows}


async def add_roles(tx: AsyncSession, user_id: UUID, names: Sequence[str]) -> None:
    """Give a user more roles."""
    await tx.flush()
    # A role that is deleted between the statement's look and its commit.
    with violations_as(fk_user_roles_role_id=UnknownRole):
        await tx.execute(ADD_ROLES, {"user_id": user_id, "names": list(names)})


async def set_roles(tx: AsyncSession, user_id: UUID, names: Sequence[str]) -> None:
    """Give a user exactly these roles."""
    await add_roles(tx, user_id, names)
    await tx.execute(DROP_ROLES, {"user_id": user_id, "names": list(names)})
