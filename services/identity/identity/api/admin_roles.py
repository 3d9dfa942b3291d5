"""Routes for administrators over roles and permissions."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag
from chassis.auth import require_permission
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import NotFound, refuses
from chassis.ids import new_id
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, SafeText, View
from identity import service
from identity.api.dependencies import RoleName, actor_with
from identity.domain.role import (
    Actor,
    Role,
    RoleBuiltIn,
    RoleExists,
    RoleInUse,
    UnknownPermission,
)
from identity.service import within_authority
from identity.store import roles
from identity.store.roles import get_permissions_of_role

router = APIRouter(prefix="/v1/admin/roles")

Reads = Depends(require_permission("users:read"))
Writes = Annotated[Actor, Depends(actor_with("roles:write"))]


class RoleBody(Body):
    """A role with all its permissions."""

    name: RoleName
    description: Annotated[SafeText, Field(max_length=255)] = ""
    permissions: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z]+:[a-z]+$", max_length=50)]],
        Field(max_length=200),
    ]


class RoleView(View):
    """A role and its permissions."""

    id: UUID
    name: str
    description: str
    is_built_in: bool
    permissions: list[str]


class PermissionView(View):
    """Something a caller may do."""

    name: str
    description: str


class PermissionsView(View):
    """Every permission."""

    items: list[PermissionView]


def _view(role: Role, permissions: list[str]) -> RoleView:
    return RoleView(
        id=role.id,
        name=role.name,
        description=role.description,
        is_built_in=role.is_built_in,
        permissions=permissions,
    )


async def _view_with_etag(tx: AsyncSession, response: Response, role: Role) -> RoleView:
    etag.set_header(response, role.version)
    granted = await roles.list_permissions_by_role(tx, [role.id])
    return _view(role, granted.get(role.id, []))


@router.get("/permissions", dependencies=[Reads])
async def list_permissions(tx: Tx) -> PermissionsView:
    """List every permission that a role can have."""
    found = await roles.list_permissions(tx)
    return PermissionsView(items=[PermissionView.model_validate(each) for each in found])


@router.get("", dependencies=[Reads])
async def list_roles(paging: Paged, tx: Tx) -> Page[RoleView]:
    """List roles by name."""
    found = await roles.list_roles(tx, after=paging.position(str), limit=paging.limit)
    granted = await roles.list_permissions_by_role(tx, [role.id for role in found])
    return paging.page(
        found, lambda role: _view(role, granted.get(role.id, [])), lambda role: role.name
    )


@router.get("/{role_id}", dependencies=[Reads])
@refuses(NotFound)
async def get_role(role_id: UUID, tx: Tx, response: Response) -> RoleView:
    """Return one role."""
    return await _view_with_etag(tx, response, await roles.get_role(tx, role_id))


@router.post("", status_code=201)
@refuses(RoleExists, UnknownPermission)
async def create_role(body: RoleBody, actor: Writes, tx: Tx, response: Response) -> RoleView:
    """Create a role; you must have each of its permissions yourself."""
    role = Role(id=new_id(), name=body.name, description=body.description, is_built_in=False)
    async with within_authority(tx, actor, partial(get_permissions_of_role, tx, role.id)):
        tx.add(role)
        await _flush(tx)
        after = await _set_permissions(tx, role, body)
        await audit.record(tx, "role.create", role.id, "by hand", after=after)
    response.headers["Location"] = f"{router.prefix}/{role.id}"
    return await _view_with_etag(tx, response, role)


@router.put("/{role_id}")
@refuses(NotFound, RoleBuiltIn, RoleExists, UnknownPermission)
async def change_role(
    *,
    role_id: UUID,
    body: RoleBody,
    expected: etag.IfMatch,
    actor: Writes,
    tx: Tx,
    response: Response,
) -> RoleView:
    """Replace a role; a new name or new permissions revoke the access tokens that name it."""
    role = await roles.lock_role(tx, role_id)
    etag.check(role.version, expected)
    before = await _audit_state(tx, role)
    async with within_authority(tx, actor, partial(get_permissions_of_role, tx, role.id)):
        revoked = role.change(
            body.name, body.description, before=before["permissions"], after=body.permissions
        )
        await _flush(tx)
        after = await _set_permissions(tx, role, body)
        await audit.record(tx, "role.change", role.id, "by hand", before=before, after=after)
        await service.revoke_tokens(tx, *revoked)
    return await _view_with_etag(tx, response, role)


@router.delete("/{role_id}", status_code=204)
@refuses(NotFound, RoleBuiltIn, RoleInUse)
async def delete_role(role_id: UUID, expected: etag.IfMatch, actor: Writes, tx: Tx) -> None:
    """Delete a role that no user has."""
    role = await roles.lock_role(tx, role_id)
    etag.check(role.version, expected)
    role.ensure_deletable()
    if await roles.is_assigned(tx, role.id):
        raise RoleInUse
    async with within_authority(tx, actor, partial(get_permissions_of_role, tx, role.id)):
        before = await _audit_state(tx, role)
        await audit.record(tx, "role.delete", role.id, "by hand", before=before)
        with violations_as(fk_user_roles_role_id=RoleInUse):
            await roles.delete_role(tx, role)


async def _set_permissions(tx: AsyncSession, role: Role, body: RoleBody) -> audit.State:
    await roles.set_permissions(tx, role.id, sorted(set(body.permissions)))
    return await _audit_state(tx, role)


async def _audit_state(tx: AsyncSession, role: Role) -> audit.State:
    """The state of a role for the audit trail."""
    permissions = (await roles.list_permissions_by_role(tx, [role.id])).get(role.id, [])
    return {"name": role.name, "description": role.description, "permissions": permissions}


async def _flush(tx: AsyncSession) -> None:
    with violations_as(uq_roles_name=RoleExists):
        await tx.flush()
