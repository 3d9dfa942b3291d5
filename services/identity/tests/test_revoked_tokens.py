"""Access tokens are revoked when their claims change; a new login works at once."""

from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest

from contracts.identity import RoleTokensRevoked, SessionTokensRevoked, UserTokensRevoked

ANOTHER = "nine herons stand in the shallows"
ADMIN_PASSWORD = "a lantern over the northern gate"
Act = Callable[[Any, Any, Any, Any], Awaitable[Any]]


def bearer(login: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {login['access_token']}"}


async def put(identity: Any, user_id: str, what: str, body: Any, headers: Any) -> Any:
    url = f"/v1/admin/users/{user_id}"
    etag = (await identity.client.get(url, headers=headers)).headers["ETag"]
    sent = {**headers, "If-Match": etag}
    return await identity.client.put(f"{url}/{what}", json=body, headers=sent)


async def status(client: Any, identity: Any, admin: Any, login: Any, wanted: str) -> Any:
    return await put(identity, login["user"]["id"], "status", {"status": wanted}, admin)


async def ban(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    return await status(client, identity, admin, login, "banned")


async def pause(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    return await status(client, identity, admin, login, "inactive")


async def change_roles(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    body = {"roles": ["customer", "support"]}
    return await put(identity, login["user"]["id"], "roles", body, admin)


async def of_customer(identity: Any, admin: Any, login: Any, wanted: str) -> Any:
    url = f"/v1/admin/customers/{login['user']['customer_id']}"
    etag = (await identity.client.get(url, headers=admin)).headers["ETag"]
    return await identity.client.put(
        f"{url}/status", json={"status": wanted}, headers={**admin, "If-Match": etag}
    )


async def block(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    return await of_customer(identity, admin, login, "blocked")


async def pause_customer(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    return await of_customer(identity, admin, login, "inactive")


async def reset_password(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    await client.post("/v1/auth/password-reset", {"email": login["user"]["email"]})
    token = await client.token_of((await client.mails("password_reset"))[-1])
    body = {"token": token, "password": ANOTHER}
    return await client.post("/v1/auth/password-reset/confirm", body)


async def log_out_everywhere(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    return await client.post("/v1/auth/logout", {"everywhere": True}, **bearer(login))


async def log_out(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    return await client.post("/v1/auth/logout", {"refresh_token": login["refresh_token"]})


async def end_the_session(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    session = jwt.decode(login["access_token"], options={"verify_signature": False})["sid"]
    url = f"/v1/me/sessions/{session}"
    return await identity.client.delete(url, headers=bearer(login))


async def use_a_refresh_token_again(client: Any, identity: Any, admin: Any, login: Any) -> Any:
    token = login["refresh_token"]
    for _ in range(2):
        token = (await client.refresh(token)).json()["refresh_token"]
    return await client.refresh(login["refresh_token"])


async def me(identity: Any, headers: dict[str, str]) -> int:
    """The status of a request after the process has read its revocations again."""
    identity.running.revocations._read_at -= 10
    return int((await identity.client.get("/v1/me", headers=headers)).status_code)


@pytest.mark.parametrize(
    ("act", "event"),
    [
        (ban, UserTokensRevoked),
        (pause, UserTokensRevoked),
        (change_roles, UserTokensRevoked),
        (block, UserTokensRevoked),
        (pause_customer, UserTokensRevoked),
        (reset_password, UserTokensRevoked),
        (log_out_everywhere, UserTokensRevoked),
        (log_out, SessionTokensRevoked),
        (end_the_session, SessionTokensRevoked),
        (use_a_refresh_token_again, SessionTokensRevoked),
    ],
)
async def test_access_tokens_are_revoked_when_their_claims_change(
    identity: Any, client: Any, admin: Any, act: Act, event: type[Any]
) -> None:
    login = await client.register_verified()
    assert await me(identity, bearer(login)) == 200
    await identity.clear_outbox()
    answer = await act(client, identity, admin, login)
    assert answer.status_code in (200, 204) or answer.json()["code"] == "refresh_token_reused"

    [published] = await identity.published(event)
    assert str(published.user_id) == login["user"]["id"]
    assert await me(identity, bearer(login)) == 401

    again = await (client.log_in(password=ANOTHER) if act is reset_password else client.log_in())
    if act in (ban, pause, block):
        assert again.status_code == 403
    else:
        assert await me(identity, bearer(again.json())) == 200


async def test_a_logout_leaves_other_sessions_open(identity: Any, client: Any) -> None:
    first, second = await client.register_and_log_in(), (await client.log_in()).json()
    await log_out(client, identity, None, first)
    assert await me(identity, bearer(first)) == 401
    assert await me(identity, bearer(second)) == 200
    # A repeated logout publishes no further event.
    await log_out(client, identity, None, first)
    assert len(await identity.published(SessionTokensRevoked)) == 1


async def test_a_changed_role_revokes_the_tokens_of_all_its_users(
    identity: Any, client: Any, admin: Any
) -> None:
    logins = [
        await client.register_verified(email=f"{name}@example.com") for name in ("ada", "bob")
    ]
    for login in logins:
        await change_roles(client, identity, admin, login)
    logins = [(await client.refresh(login["refresh_token"])).json() for login in logins]
    others = await client.register_and_log_in(email="eve@example.com")
    roles = (await identity.client.get("/v1/admin/roles", headers=admin)).json()["items"]
    support = next(role for role in roles if role["name"] == "support")
    url = f"/v1/admin/roles/{support['id']}"
    etag = (await identity.client.get(url, headers=admin)).headers["ETag"]
    body = {"name": "support", "description": "", "permissions": support["permissions"][:1]}
    answer = await identity.client.put(url, json=body, headers={**admin, "If-Match": etag})
    assert answer.status_code == 200, answer.text

    [published] = await identity.published(RoleTokensRevoked)
    assert str(published.role_id) == support["id"]
    for login in logins:
        assert await me(identity, bearer(login)) == 401
        renewed = (await client.refresh(login["refresh_token"])).json()
        assert await me(identity, bearer(renewed)) == 200
        claims = jwt.decode(renewed["access_token"], options={"verify_signature": False})
        assert claims["permissions"] == support["permissions"][:1]
    assert await me(identity, bearer(others)) == 200


async def test_a_claim_revokes_tokens_that_name_the_merged_customer(
    identity: Any, client: Any, staff: Any
) -> None:
    body = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Byron"}
    await identity.client.post("/v1/admin/customers", json=body, headers=staff)
    login = await client.register_and_log_in("ada@example.com")
    await client.verify()
    assert await me(identity, bearer(login)) == 401
    renewed = (await client.refresh(login["refresh_token"])).json()
    claims = jwt.decode(renewed["access_token"], options={"verify_signature": False})
    assert claims["cid"] != login["user"]["customer_id"]
    assert await me(identity, bearer(renewed)) == 200


@pytest.mark.parametrize("act", [ban, change_roles, block, log_out])
async def test_a_revoked_administrator_token_permits_no_change(
    identity: Any, client: Any, admin: Any, act: Act
) -> None:
    """Not even before this process has read the revocation."""
    await client.register_verified("eve@example.com")
    user = (await identity.sql("select id from users where email = 'eve@example.com'"))[0].id
    await put(identity, str(user), "roles", {"roles": ["admin"]}, admin)
    eve = (await client.log_in("eve@example.com")).json()
    me_path = f"/v1/admin/users/{user}"
    etag = (await identity.client.get(me_path, headers=bearer(eve))).headers["ETag"]
    assert (await act(client, identity, admin, eve)).status_code in (200, 204)

    # The process holds no revocation and will read none: the database alone decides.
    identity.running.revocations._generations.clear()
    identity.running.revocations._read_at = float("inf")
    for method, path, body in (
        ("PUT", f"{me_path}/roles", {"roles": ["admin"]}),
        ("PUT", f"{me_path}/status", {"status": "active"}),
        ("PUT", f"/v1/admin/customers/{eve['user']['customer_id']}/status", {"status": "active"}),
        ("POST", "/v1/admin/roles", {"name": "eves", "permissions": []}),
        ("POST", "/v1/admin/customers", {"first_name": "Eve", "last_name": "Eve"}),
    ):
        headers = {**bearer(eve), "If-Match": etag}
        answer = await identity.client.request(method, path, json=body, headers=headers)
        assert answer.status_code in (401, 403), f"{path}: {answer.text}"


async def test_an_inactive_customers_token_does_not_permit_buying(
    identity: Any, client: Any, admin: Any
) -> None:
    login = await client.register_and_log_in()

    async def buys() -> bool:
        token = (await client.log_in()).json()["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        return bool(claims["buys"])

    assert await buys()
    await pause_customer(client, identity, admin, login)
    assert not await buys()
    await of_customer(identity, admin, login, "active")
    assert await buys()


async def test_bootstrap_revokes_the_tokens_of_a_squatter(identity: Any, client: Any) -> None:
    from pydantic import SecretStr

    squatter = await client.register_and_log_in("admin@example.com")
    await client.bootstrap(
        bootstrap_admin_email="admin@example.com",
        bootstrap_admin_password=SecretStr(ADMIN_PASSWORD),
    )
    assert await me(identity, bearer(squatter)) == 401
    assert (await client.log_in("admin@example.com", ADMIN_PASSWORD)).status_code == 200


async def test_revocation_events_carry_only_ids_and_numbers(
    identity: Any, client: Any, admin: Any
) -> None:
    login = await client.register_and_log_in()
    await log_out_everywhere(client, identity, admin, login)
    [event] = await identity.published(UserTokensRevoked)
    assert set(event.model_dump()) == {"user_id", "customer_id", "generation"}
    assert event.generation > 1
    assert event.sequence > 1
