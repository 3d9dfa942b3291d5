"""Roles of the shop's own."""

import asyncio
from typing import Any

import pytest_asyncio

EVERYTHING = ("users:read", "users:write", "roles:write", "orders:read", "orders:refund")
CLERK = {"name": "clerk", "description": "Reads orders", "permissions": ["orders:read"]}


@pytest_asyncio.fixture
async def chief(desk: Any) -> dict[str, str]:
    return await desk.appoint(*EVERYTHING)


async def make(identity: Any, headers: Any, **changes: Any) -> Any:
    return await identity.client.post("/v1/admin/roles", json={**CLERK, **changes}, headers=headers)


async def test_a_role_is_made_changed_and_deleted(identity: Any, chief: Any) -> None:
    made = await make(identity, chief)
    assert made.status_code == 201, made.text
    url = made.headers["Location"]
    body = {**CLERK, "name": "cashier", "permissions": ["orders:refund", "orders:read"]}

    assert (await identity.client.put(url, json=body, headers=chief)).status_code == 428
    headers = {**chief, "If-Match": made.headers["ETag"]}
    changed = await identity.client.put(url, json=body, headers=headers)
    assert changed.json()["name"] == "cashier"
    assert changed.json()["permissions"] == ["orders:read", "orders:refund"]
    assert (await identity.client.put(url, json=CLERK, headers=headers)).status_code == 412
    fewer = {**headers, "If-Match": changed.headers["ETag"]}
    changed = await identity.client.put(url, json={**body, "permissions": []}, headers=fewer)
    assert changed.json()["permissions"] == []

    headers["If-Match"] = changed.headers["ETag"]
    assert (await identity.client.delete(url, headers=headers)).status_code == 204
    assert (await identity.client.get(url, headers=chief)).status_code == 404


async def test_two_roles_of_one_name_are_one(identity: Any, chief: Any) -> None:
    answers = await asyncio.gather(*(make(identity, chief) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    other = await make(identity, chief, name="cashier")
    answer = await identity.client.put(
        other.headers["Location"], json=CLERK, headers={**chief, "If-Match": '"1"'}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "role_exists")


async def test_a_role_holds_no_more_than_its_maker(identity: Any, chief: Any) -> None:
    refused = await make(identity, chief, permissions=["stock:write"])
    assert (refused.status_code, refused.json()["code"]) == (403, "not_yours_to_give")
    refused = await make(identity, chief, permissions=["moon:write"])
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_permission")


async def test_a_bad_role_is_refused(identity: Any, chief: Any) -> None:
    for changes in [
        {"name": "Clerk"},
        {"name": ""},
        {"name": "x" * 51},
        {"permissions": ["orders"]},
        {"permissions": "orders:read"},
        {"permissions": None},
        {"is_built_in": True},
    ]:
        assert (await make(identity, chief, **changes)).status_code == 422


async def test_built_in_roles_keep_their_names_and_the_administrators_theirs(
    identity: Any, admin: Any
) -> None:
    chief = {**admin, "If-Match": '"1"'}
    page = (await identity.client.get("/v1/admin/roles", headers=chief)).json()
    roles = {role["name"]: role for role in page["items"]}

    async def change(which: str, **changes: Any) -> Any:
        role = roles[which]
        body = {key: role[key] for key in ("name", "description", "permissions")}
        url = f"/v1/admin/roles/{role['id']}"
        return await identity.client.put(url, json={**body, **changes}, headers=chief)

    assert (await change("staff", name="crew")).json()["code"] == "role_built_in"
    assert (await change("admin", permissions=[])).json()["code"] == "role_built_in"
    # Everybody who registers is a customer.
    assert (await change("customer", permissions=["users:read"])).json()["code"] == "role_built_in"
    assert (await change("customer", description="Buys")).status_code == 200
    assert (await change("support", permissions=["orders:read"])).status_code == 200
    url = f"/v1/admin/roles/{roles['seller']['id']}"
    refused = await identity.client.delete(url, headers=chief)
    assert (refused.status_code, refused.json()["code"]) == (409, "role_built_in")


async def test_a_role_somebody_has_stays(identity: Any, desk: Any, chief: Any) -> None:
    made = await make(identity, chief)
    user = f"/v1/admin/users/{(await desk.joins())['user']['id']}"
    etag = (await identity.client.get(user, headers=chief)).headers["ETag"]
    given = await identity.client.put(
        f"{user}/roles",
        json={"roles": ["customer", "clerk"]},
        headers={**chief, "If-Match": etag},
    )
    assert given.status_code == 200, given.text
    headers = {**chief, "If-Match": made.headers["ETag"]}
    refused = await identity.client.delete(made.headers["Location"], headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "role_in_use")


async def test_every_permission_is_listed(identity: Any, chief: Any) -> None:
    answer = await identity.client.get("/v1/admin/roles/permissions", headers=chief)
    names = [item["name"] for item in answer.json()["items"]]
    assert {"catalog:write", "orders:refund", "ops:write", "tax:write"} <= set(names)
    assert names == sorted(names)
