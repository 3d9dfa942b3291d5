"""Security events in the log, warnings to owners, and entries of the audit trail."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.notifications import WarnAccountOwner
from identity.api.dependencies import network_of

OTHER = "nine herons stand in the shallows"
FROM = {"X-Client-Address": "198.51.100.7"}


@contextmanager
def security_lines() -> Iterator[list[Any]]:
    """Collect the lines of security events, without those that the access log writes."""
    found: list[Any] = []
    with capture_logs() as lines:
        yield found
    found += [line for line in lines if "network" in line]


async def log_in(client: Any, email: str = "ada@example.com", password: str = OTHER) -> Any:
    body = {"email": email, "password": password}
    return await client.post("/v1/auth/login", body, **FROM)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("", ""),
    ],
)
def test_a_log_line_names_the_network_and_no_single_address(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_failed_and_locked_out_logins_are_logged_without_addresses(
    identity: Any, client: Any
) -> None:
    await client.register()
    [(user_id,)] = await identity.sql("select id from users")
    with security_lines() as lines:
        for _ in range(6):
            await log_in(client)
        await log_in(client, "unknown@example.com")
    failed = [line for line in lines if line["event"] == "login failed"]
    assert [line["user_id"] for line in failed] == [user_id] * 5 + [None]
    assert [line["event"] for line in lines].count("login locked out") == 1
    assert {line["network"] for line in lines} == {"198.51.100.0/24"}
    assert "example.com" not in str(lines)
    assert "198.51.100.7" not in str(lines)


async def test_a_refused_account_is_logged_with_the_reason(identity: Any, client: Any) -> None:
    await client.register()
    await identity.sql("update users set status = 'banned'")
    with security_lines() as lines:
        assert (await client.log_in()).status_code == 403
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("login failed", "account_banned")
    ]


async def test_a_reused_refresh_token_is_logged_and_warns_its_owner_once(
    identity: Any, client: Any
) -> None:
    login = await client.register_and_log_in()
    second = (await client.refresh(login["refresh_token"])).json()["refresh_token"]
    await client.refresh(second)
    with security_lines() as lines:
        for _ in range(2):
            assert (await client.refresh(login["refresh_token"])).status_code == 401
    [line] = lines
    assert line["event"] == "refresh token reused"
    assert str(line["user_id"]) == login["user"]["id"]
    [warning] = await identity.published(WarnAccountOwner)
    assert (warning.type, warning.recipient) == ("session_compromised", "ada@example.com")
    assert warning.reference_id == line["session_id"]


async def test_a_new_password_warns_the_owner(identity: Any, client: Any) -> None:
    await client.register_and_log_in()
    await client.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    token = await client.token_of((await client.mails("password_reset"))[0])
    body = {"token": token, "password": OTHER}
    assert (await client.post("/v1/auth/password-reset/confirm", body)).status_code == 204
    [warning] = await identity.published(WarnAccountOwner)
    assert (warning.type, warning.recipient) == ("password_changed", "ada@example.com")
    assert OTHER not in str(warning)


async def test_a_refused_service_client_is_logged(client: Any) -> None:
    with security_lines() as lines:
        body = {"client_id": "orders", "client_secret": "not the secret"}
        assert (await client.post("/internal/token", body)).status_code == 401
    assert [(line["event"], line["client_id"]) for line in lines] == [
        ("service client refused", "orders")
    ]
    assert "not the secret" not in str(lines)


async def test_staff_changes_are_audited_without_personal_data(
    identity: Any, client: Any, admin: Any
) -> None:
    role = {"name": "clerk", "description": "Reads", "permissions": ["orders:read"]}
    made = await identity.client.post("/v1/admin/roles", json=role, headers=admin)
    url, headers = made.headers["Location"], {**admin, "If-Match": made.headers["ETag"]}
    changed = await identity.client.put(url, json={**role, "permissions": []}, headers=headers)
    headers = {**admin, "If-Match": changed.headers["ETag"]}
    assert (await identity.client.delete(url, headers=headers)).status_code == 204

    grace = {"email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper"}
    made = await identity.client.post("/v1/admin/customers", json=grace, headers=admin)
    url, headers = made.headers["Location"], {**admin, "If-Match": made.headers["ETag"]}
    changed = await identity.client.put(url, json={**grace, "last_name": "M"}, headers=headers)
    headers = {**admin, "If-Match": changed.headers["ETag"]}
    blocked = {"status": "blocked"}
    assert (
        await identity.client.put(f"{url}/status", json=blocked, headers=headers)
    ).status_code == 200

    entries = await identity.sql(
        "select action, before, after, actor from audit_entries order by id"
    )
    assert [tuple(entry)[:3] for entry in entries] == [
        ("role.create", None, role),
        ("role.change", role, {**role, "permissions": []}),
        ("role.delete", {**role, "permissions": []}, None),
        ("customer.create", None, {"status": "active"}),
        ("customer.change", None, {"changed": ["last_name"]}),
        ("customer.status", {"status": "active"}, {"status": "blocked"}),
    ]
    assert "Hopper" not in str(entries)
    assert "grace@" not in str(entries)
