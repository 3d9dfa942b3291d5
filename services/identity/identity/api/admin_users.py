"""Routes for staff over users: search, account status and roles."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag, outbox
from chassis.auth import require_permission
from chassis.db import Tx
from chassis.errors import NotFound, refuses
from chassis.ids import utcnow
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body
from identity import service
from identity.api.dependencies import Email, RoleName, UserView, actor_with
from identity.domain.role import (
    Actor,
    UnknownRole,
)
from identity.domain.user import User, UserStatus
from identity.service import within_authority
from identity.store import customers, roles, users
from identity.store.roles import get_permissions_of_user

router = APIRouter(prefix="/v1/admin/users")

Reads = Depends(require_permission("users:read"))
Writes = Annotated[Actor, Depends(actor_with("users:write"))]
AssignsRoles = Annotated[Actor, Depends(actor_with("roles:write"))]


class UserStatusBody(Body):
    """The status of the account."""

    status: UserStatus


class RolesBody(Body):
    """The names of all roles of the user."""

    roles: Annotated[list[RoleName], Field(max_length=50)]


async def _view_with_etag(tx: AsyncSession, response: Response, user: User) -> UserView:
    etag.set_header(response, user.version)
    found = await users.list_role_names(tx, [user.id])
    customer = await customers.get_customer_of_user(tx, user.id)
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
    filters = users.UserFilter(email=email, status=status, role=role)
    found = await users.list_users(tx, filters, after=paging.position(UUID), limit=paging.limit)
    ids = [user.id for user in found]
    role_names = await users.list_role_names(tx, ids)
    customer_ids = await customers.list_customer_ids(tx, ids)
    return paging.page(
        found,
        lambda user: UserView.of(user, customer_ids[user.id], role_names.get(user.id, [])),
        lambda user: user.id,
    )


@router.get("/{user_id}", dependencies=[Reads])
@refuses(NotFound)
async def get_user(user_id: UUID, tx: Tx, response: Response) -> UserView:
    """Return one user."""
    return await _view_with_etag(tx, response, await users.get_user(tx, user_id))


@router.put("/{user_id}/status")
@refuses(NotFound)
async def set_status(
    *,
    user_id: UUID,
    body: UserStatusBody,
    expected: etag.IfMatch,
    actor: Writes,
    tx: Tx,
    response: Response,
) -> UserView:
    """Activate, deactivate or ban an account; the last two end its sessions and access tokens."""
    user = await users.lock_user(tx, user_id)
    etag.check(user.version, expected)
    async with within_authority(tx, actor, partial(get_permissions_of_user, tx, user.id)):
        customer = await customers.get_customer_of_user(tx, user.id)
        before, after = {"status": user.status}, {"status": body.status}
        await audit.record(tx, "user.status", user.id, "by hand", before=before, after=after)
        outbox.add(tx, *user.set_status(body.status, customer.id))
        if body.status != "active":
            await service.end_sessions(tx, user, utcnow())
    return await _view_with_etag(tx, response, user)


@router.put("/{user_id}/roles")
@refuses(NotFound, UnknownRole)
async def set_roles(
    *,
    user_id: UUID,
    body: RolesBody,
    expected: etag.IfMatch,
    actor: AssignsRoles,
    tx: Tx,
    response: Response,
) -> UserView:
    """Assign exactly these roles to a user, and revoke the user's access tokens.

    A user receives permissions only after their e-mail address was verified.
    """
    user = await users.lock_user(tx, user_id)
    etag.check(user.version, expected)
    await roles.ensure_roles_exist(tx, body.roles)
    former = (await users.list_role_names(tx, [user.id])).get(user.id, [])
    async with within_authority(tx, actor, partial(get_permissions_of_user, tx, user.id)):
        assigned = sorted(set(body.roles))
        await users.set_roles(tx, user.id, assigned)
        await service.revoke_tokens(tx, user.revoke_tokens())
        before, after = {"roles": former}, {"roles": assigned}
        await audit.record(tx, "user.roles", user.id, "by hand", before=before, after=after)
    return await _view_with_etag(tx, response, user)
