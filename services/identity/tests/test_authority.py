"""The rule of authority, on every route that grants or removes permissions."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import SecretStr

from identity.api import routers

ADMIN = "admin@example.com"
NAMES = {"first_name": "Grace", "last_name": "Hopper"}
ALL_WRITES = ("users:read", "users:write", "roles:write", "customers:read", "customers:write")


@dataclass
class Administrator:
    """An administrator whom a change targets: ids and token."""

    user_id: str
    customer_id: str
    headers: dict[str, str]


@pytest.fixture
async def administrator(identity: Any, admin: dict[str, str]) -> Administrator:
    me = (await identity.client.get("/v1/me", headers=admin)).json()
    return Administrator(me["id"], me["customer_id"], admin)


async def put(identity: Any, headers: Any, url: str, body: Any, shown: str | None = None) -> Any:
    """Replace a resource with its current version."""
    kind, key = url.split("/")[3:5]
    [(version,)] = await identity.sql(f"select version from {kind} where id = '{key}'")
    headers = {**headers, "If-Match": f'"{version}"'}
    return await identity.client.put(shown or url, json=body, headers=headers)


Act = Callable[[Any, Any, Administrator], Awaitable[Any]]


def ban(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    return put(
        identity, headers, f"/v1/admin/users/{administrator.user_id}/status", {"status": "banned"}
    )


def pause(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    return put(
        identity, headers, f"/v1/admin/users/{administrator.user_id}/status", {"status": "inactive"}
    )


def demote(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    url = f"/v1/admin/users/{administrator.user_id}/roles"
    return put(identity, headers, url, {"roles": ["customer"]})


def block(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    url = f"/v1/admin/customers/{administrator.customer_id}/status"
    return put(identity, headers, url, {"status": "blocked"})


def pause_customer(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    url = f"/v1/admin/customers/{administrator.customer_id}/status"
    return put(identity, headers, url, {"status": "inactive"})


def rename_customer(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    url = f"/v1/admin/customers/{administrator.customer_id}"
    return put(identity, headers, url, {**NAMES, "email": ADMIN})


async def describe_role(identity: Any, headers: Any, administrator: Administrator) -> Any:
    [(role_id, known)] = await identity.sql(
        "select id, array(select name from permissions) from roles where name = 'admin'"
    )
    body = {"name": "admin", "description": "", "permissions": known}
    return await put(identity, headers, f"/v1/admin/roles/{role_id}", body)


async def make_role(identity: Any, headers: Any, administrator: Administrator) -> Any:
    body = {"name": "king", "permissions": ["stock:write"]}
    return await identity.client.post("/v1/admin/roles", json=body, headers=headers)


async def widen_own_role(identity: Any, headers: Any, administrator: Administrator) -> Any:
    [(role_id,)] = await identity.sql("select id from roles where name like 'role-%'")
    body = {"name": "clerk", "permissions": [*ALL_WRITES, "orders:refund"]}
    return await put(identity, headers, f"/v1/admin/roles/{role_id}", body)


async def delete_role(identity: Any, headers: Any, administrator: Administrator) -> Any:
    await identity.sql(
        "insert into roles (id, name, description) values (gen_random_uuid(), 'buyer', '')"
    )
    [(role_id,)] = await identity.sql(
        "insert into role_permissions (role_id, permission)"
        " select id, 'stock:write' from roles where name = 'buyer' returning role_id"
    )
    return await identity.client.delete(
        f"/v1/admin/roles/{role_id}", headers={**headers, "If-Match": '"1"'}
    )


async def promote_self(identity: Any, headers: Any, administrator: Administrator) -> Any:
    [(own,)] = await identity.sql("select id from users where email like 'clerk-%'")
    return await put(identity, headers, f"/v1/admin/users/{own}/roles", {"roles": ["admin"]})


async def prepare_claim(identity: Any, headers: Any, administrator: Administrator) -> Any:
    """Create the customer that an unverified administrator would claim."""
    await identity.sql(
        "update users set email_verified_at = null, registration_status = 'unverified'"
        " where id = :id",
        id=administrator.user_id,
    )
    body = {**NAMES, "email": ADMIN}
    return await identity.client.post("/v1/admin/customers", json=body, headers=headers)


EXCEEDING_CHANGES: list[Act] = [
    ban,
    pause,
    demote,
    block,
    pause_customer,
    rename_customer,
    describe_role,
    make_role,
    widen_own_role,
    delete_role,
    promote_self,
    prepare_claim,
]


@pytest.mark.parametrize("act", EXCEEDING_CHANGES, ids=lambda act: act.__name__)
async def test_no_route_exceeds_the_actors_own_permissions(
    identity: Any, client: Any, administrator: Administrator, act: Act
) -> None:
    clerk = await client.create_staff(*ALL_WRITES)
    refused = await act(identity, clerk, administrator)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_yours_to_give")
    assert (
        await identity.client.get("/v1/admin/users", headers=administrator.headers)
    ).status_code == 200
    assert (await client.log_in(ADMIN, "a lantern over the northern gate")).status_code == 200


REMOVALS: list[Act] = [ban, pause, demote, block]


@pytest.mark.parametrize("act", REMOVALS, ids=lambda act: act.__name__)
async def test_no_route_removes_the_last_active_administrator(
    identity: Any, administrator: Administrator, act: Act
) -> None:
    refused = await act(identity, administrator.headers, administrator)
    assert (refused.status_code, refused.json()["code"]) == (409, "last_administrator")


@pytest.mark.parametrize("act", REMOVALS, ids=lambda act: act.__name__)
async def test_one_of_two_administrators_who_remove_each_other_remains(
    identity: Any, client: Any, administrator: Administrator, act: Act
) -> None:
    login = await client.register_verified()
    user = login["user"]
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    url = f"/v1/admin/users/{user['id']}/roles"
    assert (
        await put(identity, administrator.headers, url, {"roles": ["admin"]})
    ).status_code == 200
    token = (await client.refresh(login["refresh_token"])).json()["access_token"]
    other = Administrator(user["id"], user["customer_id"], {"Authorization": f"Bearer {token}"})
    assert headers != other.headers

    answers = await asyncio.gather(
        act(identity, administrator.headers, other), block(identity, other.headers, administrator)
    )
    [refused] = [answer for answer in answers if answer.status_code != 200]
    # The slower one has lost its permission or its sessions, whichever is read first.
    assert refused.status_code in {401, 403}
    remaining = other if refused is answers[0] else administrator
    users = await identity.client.get("/v1/admin/users", headers=remaining.headers)
    assert users.status_code == 200


@pytest.mark.parametrize("act", [ban, pause, demote, block], ids=lambda act: act.__name__)
async def test_a_former_administrators_old_token_permits_no_change(
    identity: Any, client: Any, administrator: Administrator, act: Act
) -> None:
    login = await client.register_verified()
    url = f"/v1/admin/users/{login['user']['id']}/roles"
    assert (
        await put(identity, administrator.headers, url, {"roles": ["admin"]})
    ).status_code == 200
    token = (await client.refresh(login["refresh_token"])).json()["access_token"]
    former = Administrator(
        login["user"]["id"],
        login["user"]["customer_id"],
        {"Authorization": f"Bearer {token}"},
    )
    assert (await act(identity, administrator.headers, former)).status_code == 200

    for undo in (restore, unblock, unban, make_role, rename_customer):
        refused = await undo(identity, former.headers, former)
        assert refused.status_code in (401, 403), undo
    [(audited,)] = await identity.sql(
        "select count(*) from audit_entries where actor = :actor", actor=f"user:{former.user_id}"
    )
    assert audited == 0


def restore(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    return put(
        identity, headers, f"/v1/admin/users/{administrator.user_id}/roles", {"roles": ["admin"]}
    )


def unban(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    return put(
        identity, headers, f"/v1/admin/users/{administrator.user_id}/status", {"status": "active"}
    )


def unblock(identity: Any, headers: Any, administrator: Administrator) -> Awaitable[Any]:
    url = f"/v1/admin/customers/{administrator.customer_id}/status"
    return put(identity, headers, url, {"status": "active"})


async def test_a_claim_does_not_block_a_user_with_permissions(
    identity: Any, client: Any, staff: Any, admin: Any
) -> None:
    body = {**NAMES, "email": "ada@example.com"}
    made = await identity.client.post("/v1/admin/customers", json=body, headers=staff)
    url = f"{made.headers['Location']}/status"
    blocked = {"status": "blocked"}
    headers = {**staff, "If-Match": made.headers["ETag"]}
    assert (await identity.client.put(url, json=blocked, headers=headers)).status_code == 200
    user_id = (await client.register_and_log_in())["user"]["id"]
    await identity.sql(
        "insert into user_roles (user_id, role_id) select :id, id from roles where name = 'staff'",
        id=user_id,
    )

    assert (await client.verify()).status_code == 204
    assert (await client.log_in()).status_code == 200


async def add_to_role(identity: Any, headers: Any, permissions: list[str]) -> Any:
    """Change the permissions of the role `crew`."""
    [(role_id,)] = await identity.sql("select id from roles where name = 'crew'")
    body = {"name": "crew", "permissions": permissions}
    return await put(identity, headers, f"/v1/admin/roles/{role_id}", body)


async def test_an_account_with_an_unverified_address_receives_no_permission(
    identity: Any, client: Any, admin: Any
) -> None:
    """Neither by an assigned role nor by a permission that is added to a role later."""
    user_id = (await client.register_and_log_in())["user"]["id"]
    url = f"/v1/admin/users/{user_id}/roles"
    crew = {"name": "crew", "permissions": []}
    assert (await client.post("/v1/admin/roles", crew, **admin)).status_code == 201

    for role in ("admin", "staff", "support"):
        refused = await put(identity, admin, url, {"roles": ["customer", role]})
        assert (refused.status_code, refused.json()["code"]) == (409, "address_not_verified")
    assert (await put(identity, admin, url, {"roles": ["customer", "crew"]})).status_code == 200
    refused = await add_to_role(identity, admin, ["orders:read"])
    assert (refused.status_code, refused.json()["code"]) == (409, "address_not_verified")
    assert (await client.log_in()).json()["user"]["roles"] == ["crew", "customer"]

    assert (await client.verify()).status_code == 204
    assert (await add_to_role(identity, admin, ["orders:read"])).status_code == 200
    assert (await put(identity, admin, url, {"roles": ["admin"]})).status_code == 200


async def test_an_unverified_account_that_has_permissions_can_lose_them(
    identity: Any, client: Any, admin: Any
) -> None:
    user_id = (await client.register_and_log_in())["user"]["id"]
    await identity.sql(
        "insert into user_roles (user_id, role_id)"
        " select :id, id from roles where name = 'support'",
        id=user_id,
    )
    url = f"/v1/admin/users/{user_id}/roles"
    more = await put(identity, admin, url, {"roles": ["staff", "support"]})
    assert (more.status_code, more.json()["code"]) == (409, "address_not_verified")
    for roles in (["support", "customer"], ["customer"]):
        assert (await put(identity, admin, url, {"roles": roles})).status_code == 200


@pytest.mark.parametrize("table", ["users", "customers"])
async def test_migrate_restores_an_administrator_who_can_log_in(
    identity: Any, client: Any, admin: Any, table: str
) -> None:
    shut = {"users": "banned", "customers": "blocked"}[table]
    await identity.sql(f"update {table} set status = '{shut}'")
    await client.bootstrap(
        bootstrap_admin_email=ADMIN,
        bootstrap_admin_password=SecretStr("nine herons stand in the shallows"),
    )
    answer = await client.log_in(ADMIN, "nine herons stand in the shallows")
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["roles"] == ["admin", "customer"]


def names(dependant: Dependant) -> set[str]:
    inner = {name for each in dependant.dependencies for name in names(each)}
    return inner | {getattr(dependant.call, "__qualname__", "")}


WRITING_ADMIN_ROUTES = [
    route
    for router in routers
    for route in router.routes
    if isinstance(route, APIRoute)
    and route.path.startswith("/v1/admin/")
    and not (route.methods or set()) & {"GET", "HEAD"}
]


@pytest.mark.parametrize("route", WRITING_ADMIN_ROUTES, ids=lambda route: route.name)
def test_every_writing_staff_route_applies_the_rule(route: APIRoute) -> None:
    assert "actor_with.<locals>.actor" in names(route.dependant)
    assert "within_authority(" in inspect.getsource(route.endpoint)
    assert "audit.record(" in inspect.getsource(route.endpoint)
