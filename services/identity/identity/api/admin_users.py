"""Users as staff see them: find, pause, ban, and say who may do what."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag, outbox
from chassis.auth import require_permission
from chassis.db import Tx
from chassis.ids import utcnow
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body
from identity import accounts
from identity.api.acting import acting
from identity.api.fields import Email, RoleName
from identity.api.views import UserView
from identity.authority import exercised
from identity.domain.authority import Actor
from identity.domain.user import User, UserStatus
from identity.store import customers, roles, users
from identity.store.authority import get_permissions_of_user

router = APIRouter(prefix="/v1/admin/users")

Reads = Depends(require_permission("users:read"))
Writes = Annotated[Actor, Depends(acting("users:write"))]
GivesRoles = Annotated[Actor, Depends(acting("roles:write"))]


class UserStatusBody(Body):
    """Whether the account is open."""

    status: UserStatus


class RolesBody(Body):
    """The names of exactly the roles the user shall have."""

    roles: Annotated[list[RoleName], Field(max_length=50)]


async def _shown(tx: AsyncSession, response: Response, user: User) -> UserView:
    etag.set_header(response, user.version)
    found = await users.list_roles_of(tx, [user.id])
    customer = await customers.get_customer_of(tx, user.id)
    return UserView.of(user, customer.id, found.get(user.id, []))


@router.get("", dependencies=[Reads])
async def list_users(
    paging: Paged,
    tx: Tx,
    email: Annotated[Email | None, Query()] = None,
    status: Annotated[UserStatus | None, Query()] = None,
    role: Annotated[RoleName | None, Query()] = None,
) -> Page[UserView]:
    """List users, the newest first."""
    wanted = users.Wanted(email=email, status=status, role=role)
    found = await users.list_users(tx, wanted, after=paging.position(UUID), limit=paging.limit)
    ids = [user.id for user in found]
    named, owned = await users.list_roles_of(tx, ids), await customers.list_customers_of(tx, ids)
    return paging.page(
        found,
        lambda user: UserView.of(user, owned[user.id], named.get(user.id, [])),
        lambda user: user.id,
    )


@router.get("/{user_id}", dependencies=[Reads])
async def get_user(user_id: UUID, tx: Tx, response: Response) -> UserView:
    """Read one user."""
    return await _shown(tx, response, await users.get_user(tx, user_id))


@router.put("/{user_id}/status")
async def set_status(
    *,
    user_id: UUID,
    body: UserStatusBody,
    expected: etag.IfMatch,
    actor: Writes,
    tx: Tx,
    response: Response,
) -> UserView:
    """Open, pause or ban an account; pausing and banning end its sessions and access tokens."""
    user = await users.lock_user(tx, user_id)
    etag.check(user.version, expected)
    async with exercised(tx, actor, partial(get_permissions_of_user, tx, user.id)):
        customer = await customers.get_customer_of(tx, user.id)
        before, after = {"status": user.status}, {"status": body.status}
        await audit.record(tx, "user.status", user.id, "by hand", before=before, after=after)
        outbox.add(tx, *user.set_status(body.status, customer.id))
        if body.status != "active":
            await accounts.end_sessions(tx, user, utcnow())
    return await _shown(tx, response, user)


@router.put("/{user_id}/roles")
async def set_roles(
    *,
    user_id: UUID,
    body: RolesBody,
    expected: etag.IfMatch,
    actor: GivesRoles,
    tx: Tx,
    response: Response,
) -> UserView:
    """Give a user exactly these roles; access tokens that say otherwise no longer count.

    A user receives permissions only after their e-mail address was verified.
    """
    user = await users.lock_user(tx, user_id)
    etag.check(user.version, expected)
    await roles.check_roles_exist(tx, body.roles)
    theirs = (await users.list_roles_of(tx, [user.id])).get(user.id, [])
    async with exercised(tx, actor, partial(get_permissions_of_user, tx, user.id)):
        wanted = sorted(set(body.roles))
        await users.set_roles(tx, user.id, wanted)
        await accounts.revoke(tx, user.revoke_tokens())
        before, after = {"roles": theirs}, {"roles": wanted}
        await audit.record(tx, "user.roles", user.id, "by hand", before=before, after=after)
    return await _shown(tx, response, user)
