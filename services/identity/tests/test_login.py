"""Login, refresh and logout."""

import asyncio
from typing import Any

import jwt
import pytest

OTHER = "nine herons stand in the shallows"


async def test_an_access_token_carries_identity_and_permissions(identity: Any, client: Any) -> None:
    login = await client.register_and_log_in()
    keys = (await identity.client.get("/.well-known/jwks.json")).json()["keys"]
    key = jwt.PyJWK(keys[0])
    assert jwt.get_unverified_header(login["access_token"])["kid"] == key.key_id

    claims = jwt.decode(
        login["access_token"],
        key.key,
        algorithms=["ES256"],
        issuer="cartwright",
        audience="cartwright",
    )
    assert claims["typ"] == "access"
    assert claims["sub"] == login["user"]["id"]
    assert claims["cid"] == login["user"]["customer_id"]
    assert claims["email"] == "ada@example.com"
    assert claims["email_verified"] is False
    assert (claims["roles"], claims["permissions"]) == (["customer"], [])
    assert claims["exp"] - claims["iat"] == login["expires_in"] == 600
    assert await identity.sql("select id from sessions where id = :id", id=claims["sid"])


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(client: Any) -> None:
    await client.register()
    wrong = await client.log_in(password=OTHER)
    unknown = await client.log_in("unknown@example.com", OTHER)

    assert wrong.status_code == unknown.status_code == 401
    shown = [{**a.json(), "request_id": None} for a in (wrong, unknown)]
    assert shown[0] == shown[1]
    assert shown[0]["code"] == "bad_credentials"


async def test_guesses_are_limited_and_other_accounts_are_not(identity: Any, client: Any) -> None:
    await client.register()
    guesses = await asyncio.gather(*(client.log_in(password=OTHER) for _ in range(20)))
    assert sorted(answer.status_code for answer in guesses) == [401] * 5 + [429] * 15

    stopped = await client.log_in()
    assert stopped.status_code == 429
    assert 0 < int(stopped.headers["Retry-After"]) <= 300
    assert (await client.log_in("bob@example.com")).status_code == 401

    await identity.sql("update attempts set window_ends_at = now()")
    assert (await client.log_in()).status_code == 200


async def test_a_successful_login_resets_the_count(client: Any) -> None:
    await client.register()
    for _ in range(3):
        for _ in range(4):
            assert (await client.log_in(password=OTHER)).status_code == 401
        assert (await client.log_in()).status_code == 200


async def test_a_login_renews_a_hash_with_outdated_costs(identity: Any, client: Any) -> None:
    from identity.clients import Passwords

    await client.register()
    [(before,)] = await identity.sql("select password_hash from users")
    dearer = Passwords(16, 2)
    identity.running.resources.passwords = dearer
    assert (await client.log_in()).status_code == 200
    [(after,)] = await identity.sql("select password_hash from users")
    assert before != after
    assert "m=16,t=2" in after
    assert (await client.log_in()).status_code == 200
    dearer.close()


async def test_a_refresh_token_works_once_and_a_retry_returns_the_same_successor(
    client: Any,
) -> None:
    login = await client.register_and_log_in()
    first = (await client.refresh(login["refresh_token"])).json()
    again = (await client.refresh(login["refresh_token"])).json()

    assert first["refresh_token"] != login["refresh_token"]
    assert again["refresh_token"] == first["refresh_token"]
    assert (await client.refresh(first["refresh_token"])).status_code == 200


async def test_ten_concurrent_refreshes_return_one_successor(client: Any) -> None:
    login = await client.register_and_log_in()
    answers = await asyncio.gather(*(client.refresh(login["refresh_token"]) for _ in range(10)))
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_an_old_refresh_token_ends_the_session(identity: Any, client: Any) -> None:
    login = await client.register_and_log_in()
    second = (await client.refresh(login["refresh_token"])).json()["refresh_token"]
    third = (await client.refresh(second)).json()["refresh_token"]

    stolen = await client.refresh(login["refresh_token"])
    assert (stolen.status_code, stolen.json()["code"]) == (401, "refresh_token_reused")
    assert (await client.refresh(third)).json()["code"] == "session_ended"


async def test_a_retry_after_the_grace_period_is_a_reuse(identity: Any, client: Any) -> None:
    login = await client.register_and_log_in()
    await client.refresh(login["refresh_token"])
    await identity.sql("update sessions set rotated_at = now() - interval '11 seconds'")
    answer = await client.refresh(login["refresh_token"])
    assert answer.json()["code"] == "refresh_token_reused"


async def test_knowing_a_sessions_id_does_not_suffice_to_end_it(client: Any) -> None:
    from identity.domain.session import RefreshToken

    login = await client.register_and_log_in()
    real = RefreshToken.parse(login["refresh_token"])
    forged = RefreshToken(real.session_id, bytes(32), real.part)
    assert (await client.refresh(str(forged))).json()["code"] == "session_ended"
    body = {"refresh_token": str(forged)}
    assert (await client.post("/v1/auth/logout", body)).json()["code"] == "session_ended"
    assert (await client.refresh(login["refresh_token"])).status_code == 200


async def test_no_refresh_token_is_stored(identity: Any, client: Any) -> None:
    from identity.domain.session import RefreshToken

    login = await client.register_and_log_in()
    await client.refresh(login["refresh_token"])
    token = RefreshToken.parse(login["refresh_token"])
    [row] = await identity.sql("select * from sessions")
    for value in row:
        for part in (token.family, token.part):
            assert part.hex() not in str(value)
            assert value != part


async def test_a_malformed_refresh_token_is_refused(client: Any) -> None:
    for token in ["x", "A" * 200, "-_==", "A" * 108, "AAAA=AAAA"]:
        answer = await client.refresh(token)
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


async def test_a_session_expires(identity: Any, client: Any) -> None:
    await client.register_and_log_in()
    long = (await client.log_in(remember=True)).json()
    rows = await identity.sql(
        "select remember, extract(epoch from expires_at - created_at)::int from sessions order by id"
    )
    assert [tuple(row) for row in rows] == [
        (False, pytest.approx(86_400, abs=5)),
        (True, pytest.approx(2_592_000, abs=5)),
    ]
    await identity.sql("update sessions set expires_at = now()")
    assert (await client.refresh(long["refresh_token"])).json()["code"] == "session_ended"


async def test_a_logout_ends_one_session_or_all(client: Any) -> None:
    first = await client.register_and_log_in()
    second, third = [(await client.log_in()).json() for _ in range(2)]
    headers = {"Authorization": f"Bearer {first['access_token']}"}

    assert (
        await client.identity.client.post("/v1/auth/logout", headers=headers)
    ).status_code == 204
    assert (await client.refresh(first["refresh_token"])).status_code == 401
    body = {"refresh_token": second["refresh_token"], "everywhere": True}
    assert (await client.post("/v1/auth/logout", body)).status_code == 204
    assert (await client.refresh(third["refresh_token"])).status_code == 401
    assert (await client.post("/v1/auth/logout", {})).status_code == 401


@pytest.mark.parametrize("status", ["inactive", "banned"])
async def test_an_inactive_or_banned_user_cannot_log_in(
    identity: Any, client: Any, status: str
) -> None:
    login = await client.register_and_log_in()
    await identity.sql("update users set status = :status", status=status)
    answer = await client.log_in()
    assert (answer.status_code, answer.json()["code"]) == (403, f"account_{status}")
    assert (await client.refresh(login["refresh_token"])).status_code == 403
    assert (await client.log_in(password=OTHER)).json()["code"] == "bad_credentials"
