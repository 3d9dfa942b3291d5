"""The signed-in user: account and sessions."""

from typing import Any

from chassis.ids import new_id
from testkit.harness import CLIENT_ADDRESS, access_token


def bearer(login: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {login['access_token']}"}


async def test_changing_an_account_requires_its_current_version(identity: Any, client: Any) -> None:
    headers = bearer(await client.register_and_log_in())
    read = await identity.client.get("/v1/me", headers=headers)
    assert read.json()["first_name"] == "Ada"

    async def change(**headers_too: str) -> Any:
        body = {"last_name": "King", "phone": "+442079460958"}
        return await identity.client.patch("/v1/me", json=body, headers={**headers, **headers_too})

    assert (await change()).status_code == 428
    changed = await change(**{"If-Match": read.headers["ETag"]})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["first_name"], changed.json()["last_name"]) == ("Ada", "King")
    assert (await change(**{"If-Match": read.headers["ETag"]})).status_code == 412
    assert changed.json() == (await identity.client.get("/v1/me", headers=headers)).json()
    rows = await identity.sql("select last_name, phone from customers")
    assert [tuple(row) for row in rows] == [("King", "+442079460958")]


async def test_null_deletes_a_phone_and_an_absent_field_leaves_it(
    identity: Any, client: Any
) -> None:
    headers = bearer(await client.register_and_log_in(phone="+442079460958"))
    for version, (body, phone) in enumerate(
        [({"first_name": "Augusta"}, "+442079460958"), ({"phone": None}, None)], start=1
    ):
        headers["If-Match"] = f'"{version}"'
        answer = await identity.client.patch("/v1/me", json=body, headers=headers)
        assert answer.json()["phone"] == phone
        assert answer.json()["first_name"] == "Augusta"


async def test_a_user_changes_only_names_and_phone(identity: Any, client: Any) -> None:
    headers = {**bearer(await client.register_and_log_in()), "If-Match": '"1"'}
    for body in [
        {"email": "eve@example.com"},
        {"status": "active"},
        {"roles": ["admin"]},
        {"customer_id": str(new_id())},
        {"email_verified": True},
        {"first_name": ""},
        {"phone": "abc"},
        [],
    ]:
        answer = await identity.client.patch("/v1/me", json=body, headers=headers)
        assert answer.status_code == 422, body


async def test_only_the_owner_lists_and_ends_sessions(identity: Any, client: Any) -> None:
    first = await client.register_and_log_in()
    second = (await client.log_in(remember=True)).json()
    other = await client.register_and_log_in("bob@example.com")

    page = (await identity.client.get("/v1/me/sessions", headers=bearer(second))).json()
    assert [item["is_current"] for item in page["items"]] == [True, False]
    assert [item["remember"] for item in page["items"]] == [True, False]
    assert page["items"][0]["ip_address"] == CLIENT_ADDRESS
    assert "python-httpx" in page["items"][0]["user_agent"]

    url = f"/v1/me/sessions/{page['items'][1]['id']}"
    assert (await identity.client.delete(url, headers=bearer(other))).status_code == 404
    assert (await identity.client.delete(url, headers=bearer(second))).status_code == 204
    assert (await identity.client.delete(url, headers=bearer(second))).status_code == 404
    assert (await client.refresh(first["refresh_token"])).json()["code"] == "session_ended"
    page = (await identity.client.get("/v1/me/sessions", headers=bearer(second))).json()
    assert len(page["items"]) == 1


async def test_sessions_are_paged_by_cursor(identity: Any, client: Any) -> None:
    headers = bearer(await client.register_and_log_in())
    for _ in range(4):
        await client.log_in()
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await identity.client.get("/v1/me/sessions", params=query, headers=headers)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert len(set(seen)) == len(seen) == 5


async def test_a_token_of_an_unknown_user_finds_nothing(identity: Any) -> None:
    headers = {"Authorization": f"Bearer {access_token()}", "If-Match": '"1"'}
    requests = [
        identity.client.get("/v1/me", headers=headers),
        identity.client.patch("/v1/me", json={}, headers=headers),
        identity.client.get("/v1/me/addresses", headers=headers),
    ]
    assert [(await answer).status_code for answer in requests] == [404, 404, 404]


async def test_a_request_without_a_token_is_refused(identity: Any) -> None:
    for path in ("/v1/me", "/v1/me/sessions", "/v1/me/addresses", "/v1/admin/users"):
        assert (await identity.client.get(path)).status_code == 401
