"""An account reclaimed by its mailbox alone contains nothing that a stranger stored."""

from typing import Any

import pytest
from pydantic import SecretStr

from contracts.identity import CustomerChanged, EmailVerified

from .conftest import PASSWORD, bearer

OTHER = "nine herons stand in the shallows"
ADDRESS = {
    "type": "shipping",
    "recipient_name": "Mallory",
    "line1": "1 Trap Street",
    "city": "Arlington",
    "state": "VA",
    "postal_code": "22202",
    "country": "US",
    "is_default": True,
}


async def stored(identity: Any, login: dict[str, Any]) -> dict[str, Any]:
    """Store an address and a phone number; returns the account."""
    headers = bearer(login)
    added = await identity.client.post("/v1/me/addresses", json=ADDRESS, headers=headers)
    assert added.status_code == 201, added.text
    change = {"first_name": "Mallory", "phone": "+15035550100"}
    headers |= {"If-Match": '"1"'}
    changed = await identity.client.patch("/v1/me", json=change, headers=headers)
    assert changed.status_code == 200, changed.text
    return dict(changed.json())


async def account(identity: Any, login: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The account and its addresses."""
    me = await identity.client.get("/v1/me", headers=bearer(login))
    addresses = await identity.client.get("/v1/me/addresses", headers=bearer(login))
    return me.json(), addresses.json()["items"]


@pytest.mark.parametrize("way", ["reset", "second registration"])
async def test_reclaiming_an_account_by_its_mailbox_deletes_stored_data(
    identity: Any, client: Any, way: str
) -> None:
    login = await client.register_and_log_in()
    before = await stored(identity, login)
    if way == "reset":
        await client.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    else:
        await client.register(password=OTHER)
    [mail] = await client.mails("password_reset")
    body = {"token": await client.token_of(mail), "password": OTHER}
    assert (await client.post("/v1/auth/password-reset/confirm", body)).status_code == 204

    assert (await client.refresh(login["refresh_token"])).status_code == 401
    me, addresses = await account(identity, (await client.log_in(password=OTHER)).json())
    assert (me["id"], me["email_verified"], addresses) == (before["id"], True, [])
    assert (me["first_name"], me["last_name"], me["phone"]) == ("", "", None)
    assert me["customer_id"] != before["customer_id"]
    gone, taken = (await identity.published(CustomerChanged))[-2:]
    assert str(gone.customer_id) == before["customer_id"]
    assert (str(gone.merged_into), str(gone.reclaimed_by)) == (me["customer_id"], me["id"])
    assert (taken.merged_into, taken.reclaimed_by, taken.status) == (None, None, "active")
    [verified] = await identity.published(EmailVerified)
    assert str(verified.customer_id) == me["customer_id"]
    for table in ("users", "customers", "addresses"):
        rows = await identity.sql(f"select {table}::text from {table}")
        assert all("Mallory" not in row[0] and "5035550100" not in row[0] for row in rows)


@pytest.mark.parametrize("way", ["password", "session"])
async def test_verifying_with_password_or_session_preserves_stored_data(
    identity: Any, client: Any, way: str
) -> None:
    login = await client.register_and_log_in()
    before = await stored(identity, login)
    token = await client.token_of((await client.mails("verification"))[0])
    body = {"token": token} | ({"password": PASSWORD} if way == "password" else {})
    headers = bearer(login) if way == "session" else {}
    answer = await client.post("/v1/auth/verify", body, **headers)
    assert answer.status_code == 204, answer.text

    assert (await client.refresh(login["refresh_token"])).status_code == 200
    me, addresses = await account(identity, (await client.log_in()).json())
    assert len(addresses) == 1
    assert me == before | {"email_verified": True, "registration_status": "registered"}
    assert all(event.reclaimed_by is None for event in await identity.published(CustomerChanged))


async def test_the_link_alone_does_not_verify_the_address(identity: Any, client: Any) -> None:
    await client.register_and_log_in()
    stranger = await client.register_and_log_in("eve@example.com")
    token = await client.token_of((await client.mails("verification"))[0])
    for body, headers in (
        ({"token": token}, {}),
        ({"token": token, "password": OTHER}, {}),
        ({"token": token}, bearer(stranger)),
    ):
        refused = await client.post("/v1/auth/verify", body, **headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "password_required")
    # Refused attempts do not use the token up.
    right = {"token": token, "password": PASSWORD}
    assert (await client.post("/v1/auth/verify", right)).status_code == 204


async def test_a_reset_of_a_verified_account_preserves_stored_data(
    identity: Any, client: Any
) -> None:
    login = await client.register_and_log_in()
    before = await stored(identity, login)
    assert (await client.verify()).status_code == 204
    await client.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    [mail] = await client.mails("password_reset")
    body = {"token": await client.token_of(mail), "password": OTHER}
    assert (await client.post("/v1/auth/password-reset/confirm", body)).status_code == 204

    me, addresses = await account(identity, (await client.log_in(password=OTHER)).json())
    assert (me["customer_id"], len(addresses)) == (before["customer_id"], 1)


async def test_bootstrap_deletes_what_a_stranger_stored_under_the_operators_address(
    identity: Any, client: Any
) -> None:
    login = await client.register_and_log_in()
    before = await stored(identity, login)
    await identity.sql(
        "delete from user_roles where role_id = (select id from roles where name = 'admin')"
    )
    await client.bootstrap(
        bootstrap_admin_email="ada@example.com", bootstrap_admin_password=SecretStr(OTHER)
    )
    me, addresses = await account(identity, (await client.log_in(password=OTHER)).json())
    assert (me["id"], addresses) == (before["id"], [])
    assert me["customer_id"] != before["customer_id"]
    assert "admin" in me["roles"]


async def test_reclaiming_an_account_leaves_a_blocked_customer_blocked(
    identity: Any, client: Any, staff: Any
) -> None:
    login = await client.register_and_log_in()
    await identity.sql(
        "update customers set status = 'blocked' where user_id is not null "
        "and id = cast(:id as uuid)",
        id=login["user"]["customer_id"],
    )
    await client.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    [mail] = await client.mails("password_reset")
    body = {"token": await client.token_of(mail), "password": OTHER}
    assert (await client.post("/v1/auth/password-reset/confirm", body)).status_code == 204
    refused = await client.log_in(password=OTHER)
    assert (refused.status_code, refused.json()["code"]) == (403, "customer_blocked")
