"""Custom and built-in roles."""

import asyncio
from typing import Any

import pytest_asyncio

EVERYTHING = ("users:read", "users:write", "roles:write", "orders:read", "orders:refund")
CLERK = {"name": "clerk", "description": "Reads orders", "permissions": ["orders:read"]}


@pytest_asyncio.fixture
async def role_manager(client: Any) -> dict[str, str]:
    return await client.create_staff(*EVERYTHING)


async def create(identity: Any, headers: Any, **changes: Any) -> Any:
    return await identity.client.post("/v1/admin/roles", json={**CLERK, **changes}, headers=headers)


async def test_a_role_is_created_changed_and_deleted(identity: Any, role_manager: Any) -> None:
    made = await create(identity, role_manager)
    assert made.status_code == 201, made.text
    url = made.headers["Location"]
    body = {**CLERK, "name": "cashier", "permissions": ["orders:refund", "orders:read"]}

    assert (await identity.client.put(url, json=body, headers=role_manager)).status_code == 428
    headers = {**role_manager, "If-Match": made.headers["ETag"]}
    changed = await identity.client.put(url, json=body, headers=headers)
    assert changed.json()["name"] == "cashier"
    assert changed.json()["permissions"] == ["orders:read", "orders:refund"]
    assert (await identity.client.put(url, json=CLERK, headers=headers)).status_code == 412
    fewer = {**headers, "If-Match": changed.headers["ETag"]}
    changed = await identity.client.put(url, json={**body, "permissions": []}, headers=fewer)
    assert changed.json()["permissions"] == []

    headers["If-Match"] = changed.headers["ETag"]
    assert (await identity.client.delete(url, headers=headers)).status_code == 204
    assert (await identity.client.get(url, headers=role_manager)).status_code == 404


async def test_a_second_role_of_the_same_name_is_refused(identity: Any, role_manager: Any) -> None:
    answers = await asyncio.gather(*(create(identity, role_manager) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    other = await create(identity, role_manager, name="cashier")
    answer = await identity.client.put(
        other.headers["Location"], json=CLERK, headers={**role_manager, "If-Match": '"1"'}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "role_exists")


async def test_a_role_cannot_exceed_its_creators_permissions(
    identity: Any, role_manager: Any
) -> None:
    refused = await create(identity, role_manager, permissions=["stock:write"])
    assert (refused.status_code, refused.json()["code"]) == (403, "not_yours_to_give")
    refused = await create(identity, role_manager, permissions=["moon:write"])
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_permission")


async def test_an_invalid_role_is_refused(identity: Any, role_manager: Any) -> None:
    invalid: list[dict[str, Any]] = [
        {"name": "Clerk"},
        {"name": ""},
        {"name": "x" * 51},
        {"permissions": ["orders"]},
        {"permissions": "orders:read"},
        {"permissions": None},
        {"is_built_in": True},
    ]
    for changes in invalid:
        assert (await create(identity, role_manager, **changes)).status_code == 422


async def test_built_in_roles_refuse_new_names_and_fixed_permissions(
    identity: Any, admin: Any
) -> None:
    role_manager = {**admin, "If-Match": '"1"'}
    page = (await identity.client.get("/v1/admin/roles", headers=role_manager)).json()
    roles = {role["name"]: role for role in page["items"]}

    async def change(which: str, **changes: Any) -> Any:
        role = roles[which]
        body = {key: role[key] for key in ("name", "description", "permissions")}
        url = f"/v1/admin/roles/{role['id']}"
        return await identity.client.put(url, json={**body, **changes}, headers=role_manager)

    assert (await change("staff", name="crew")).json()["code"] == "role_built_in"
    assert (await change("admin", permissions=[])).json()["code"] == "role_built_in"
    # Every registered user is a customer.
    assert (await change("customer", permissions=["users:read"])).json()["code"] == "role_built_in"
    assert (await change("customer", description="Buys")).status_code == 200
    assert (await change("support", permissions=["orders:read"])).status_code == 200
    url = f"/v1/admin/roles/{roles['seller']['id']}"
    refused = await identity.client.delete(url, headers=role_manager)
    assert (refused.status_code, refused.json()["code"]) == (409, "role_built_in")


async def test_an_assigned_role_cannot_be_deleted(
    identity: Any, client: Any, role_manager: Any
) -> None:
    made = await create(identity, role_manager)
    user = f"/v1/admin/users/{(await client.register_verified())['user']['id']}"
    etag = (await identity.client.get(user, headers=role_manager)).headers["ETag"]
    given = await identity.client.put(
        f"{user}/roles",
        json={"roles": ["customer", "clerk"]},
        headers={**role_manager, "If-Match": etag},
    )
    assert given.status_code == 200, given.text
    headers = {**role_manager, "If-Match": made.headers["ETag"]}
    refused = await identity.client.delete(made.headers["Location"], headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "role_in_use")


async def test_every_permission_is_listed(identity: Any, role_manager: Any) -> None:
    answer = await identity.client.get("/v1/admin/roles/permissions", headers=role_manager)
    names = [item["name"] for item in answer.json()["items"]]
    assert {"catalog:write", "orders:refund", "ops:write", "tax:write"} <= set(names)
    assert names == sorted(names)
