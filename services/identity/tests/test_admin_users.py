"""Staff search users, set their status and assign roles."""

import asyncio
from typing import Any

import pytest

from chassis.ids import new_id
from contracts.identity import UserStatusChanged

ADMIN = "admin@example.com"


async def put(identity: Any, user_id: str, what: str, body: Any, headers: Any) -> Any:
    url = f"/v1/admin/users/{user_id}"
    read = await identity.client.get(url, headers=headers)
    return await identity.client.put(
        f"{url}/{what}", json=body, headers={**headers, "If-Match": read.headers.get("ETag", '"1"')}
    )


async def test_the_first_administrator_has_every_permission(identity: Any, admin: Any) -> None:
    [(known,)] = await identity.sql("select count(*) from permissions")
    page = await identity.client.get("/v1/admin/roles", headers=admin)
    roles = {role["name"]: role for role in page.json()["items"]}
    assert set(roles) == {"customer", "seller", "support", "staff", "admin"}
    assert len(roles["admin"]["permissions"]) == known
    assert roles["customer"]["permissions"] == []


async def test_users_are_filtered_by_address_status_and_role(
    identity: Any, client: Any, admin: Any
) -> None:
    for name in ("ada", "bob", "eve"):
        await client.register(email=f"{name}@example.com")
    await identity.sql("update users set status = 'banned' where email = 'eve@example.com'")

    async def found(**query: Any) -> list[str]:
        answer = await identity.client.get("/v1/admin/users", params=query, headers=admin)
        assert answer.status_code == 200, answer.text
        return [item["email"].split("@")[0] for item in answer.json()["items"]]

    assert await found() == ["eve", "bob", "ada", "admin"]
    assert await found(email="BOB@example.com") == ["bob"]
    assert await found(status="banned") == ["eve"]
    assert await found(role="admin") == ["admin"]
    assert await found(role="nothing") == []
    first = await identity.client.get("/v1/admin/users?limit=3", headers=admin)
    assert await found(cursor=first.json()["next_cursor"], limit=3) == ["admin"]


async def test_an_invalid_filter_is_refused(identity: Any, staff: Any) -> None:
    for query in [
        "status=x",
        "email=x",
        "role=X",
        "email=%00",
        "limit=0",
        "limit=101",
        "cursor=W10",
    ]:
        answer = await identity.client.get(f"/v1/admin/users?{query}", headers=staff)
        assert answer.status_code in (400, 422)


@pytest.mark.parametrize("status", ["inactive", "banned"])
async def test_an_inactive_or_banned_user_loses_access_at_once(
    identity: Any, client: Any, staff: Any, status: str
) -> None:
    login = await client.register_and_log_in()
    user_id = login["user"]["id"]
    answer = await put(identity, user_id, "status", {"status": status}, staff)

    assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert (await client.refresh(login["refresh_token"])).json()["code"] == "session_ended"
    assert (await client.log_in()).status_code == 403
    [event] = await identity.published(UserStatusChanged)
    assert (str(event.user_id), event.status, event.sequence) == (user_id, status, 2)

    again = await put(identity, user_id, "status", {"status": status}, staff)
    assert again.status_code == 200
    opened = await put(identity, user_id, "status", {"status": "active"}, staff)
    assert opened.status_code == 200
    assert (await client.log_in()).status_code == 200
    assert len(await identity.published(UserStatusChanged)) == 2


async def test_a_status_change_requires_the_current_version_and_a_known_user(
    identity: Any, client: Any, staff: Any
) -> None:
    user_id = (await client.register_and_log_in())["user"]["id"]
    url = f"/v1/admin/users/{user_id}/status"
    body = {"status": "banned"}
    assert (await identity.client.put(url, json=body, headers=staff)).status_code == 428
    stale = {**staff, "If-Match": '"7"'}
    assert (await identity.client.put(url, json=body, headers=stale)).status_code == 412
    assert (await put(identity, str(new_id()), "status", body, staff)).status_code == 404
    assert (await put(identity, user_id, "status", {"status": "gone"}, staff)).status_code == 422


async def test_the_next_token_carries_the_assigned_roles(
    identity: Any, client: Any, admin: Any
) -> None:
    login = await client.register_verified()
    body = {"roles": ["customer", "staff"]}
    answer = await put(identity, login["user"]["id"], "roles", body, admin)
    assert answer.json()["roles"] == ["customer", "staff"]

    tokens = (await client.refresh(login["refresh_token"])).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await identity.client.get("/v1/admin/users", headers=headers)).status_code == 200
    taken = await put(identity, login["user"]["id"], "roles", {"roles": ["customer"]}, admin)
    assert taken.json()["roles"] == ["customer"]
    tokens = (await client.refresh(tokens["refresh_token"])).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await identity.client.get("/v1/admin/users", headers=headers)).status_code == 403
    unknown = await put(identity, login["user"]["id"], "roles", {"roles": ["king"]}, admin)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_role")


async def test_the_last_two_administrators_cannot_remove_each_other(
    identity: Any, client: Any, admin: Any
) -> None:
    other = (await client.register_verified())["user"]["id"]
    body = {"roles": ["admin", "customer"]}
    assert (await put(identity, other, "roles", body, admin)).status_code == 200
    administrator = (await identity.client.get("/v1/me", headers=admin)).json()["id"]

    answers = await asyncio.gather(
        put(identity, other, "roles", {"roles": []}, admin),
        put(identity, administrator, "status", {"status": "inactive"}, admin),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["code"] == "last_administrator"


async def test_a_customer_cannot_use_staff_routes(identity: Any) -> None:
    for method, path in [
        ("GET", "/v1/admin/users"),
        ("GET", "/v1/admin/users/{id}"),
        ("PUT", "/v1/admin/users/{id}/status"),
        ("PUT", "/v1/admin/users/{id}/roles"),
        ("GET", "/v1/admin/roles"),
        ("GET", "/v1/admin/roles/permissions"),
        ("GET", "/v1/admin/roles/{id}"),
        ("POST", "/v1/admin/roles"),
        ("PUT", "/v1/admin/roles/{id}"),
        ("DELETE", "/v1/admin/roles/{id}"),
        ("GET", "/v1/admin/customers"),
        ("POST", "/v1/admin/customers"),
        ("GET", "/v1/admin/customers/{id}"),
        ("PUT", "/v1/admin/customers/{id}"),
        ("PUT", "/v1/admin/customers/{id}/status"),
    ]:
        url = path.format(id=new_id())
        everything_else = ("orders:write", "stock:write", "catalog:write")
        for headers, status in (
            ({}, 401),
            (identity.signed_in(), 403),
            (identity.signed_in(permissions=everything_else), 403),
        ):
            answer = await identity.client.request(
                method,
                url,
                headers={**headers, "If-Match": '"1"', "Content-Type": "application/json"},
            )
            assert answer.status_code == status, answer.text
