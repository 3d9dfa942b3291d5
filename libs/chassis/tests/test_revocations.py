"""Revoked access tokens: the read model, and its check by every kind of route."""

import asyncio
import time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from chassis import revocations
from chassis.auth import Caller, caller_from_claims, is_still_valid
from chassis.errors import Problem
from chassis.ids import new_id
from chassis.keys import LEEWAY
from chassis.revocations import FRESH_FOR, Revocations, TokenRevoked
from contracts.identity import RoleTokensRevoked, SessionTokensRevoked, UserTokensRevoked
from testkit.harness import Harness, access_token, service_token

ADA = new_id()


def bearer(generation: int | None = None, **claims: Any) -> dict[str, str]:
    named: dict[str, Any] = {} if generation is None else {"gen": {str(ADA): generation}}
    return {"Authorization": f"Bearer {access_token(user_id=ADA, **named, **claims)}"}


async def make(sample: Harness[Any], headers: dict[str, str]) -> Any:
    """A write with the token, to a service that has just read its table."""
    expire(sample.running.revocations)
    sent = {**headers, "Idempotency-Key": str(new_id())}
    return await sample.client.post("/v1/jars", json={"name": "tea", "coins": 1}, headers=sent)


def expire(known: Revocations) -> None:
    """Let what is in memory be older than it may be used."""
    known._read_at -= FRESH_FOR + 1


def revoked(generation: int) -> UserTokensRevoked:
    return UserTokensRevoked(user_id=ADA, generation=generation)


async def check(known: Revocations, generation: int, subject: UUID = ADA) -> bool:
    try:
        await known.check({subject: generation})
    except TokenRevoked:
        return False
    return True


async def test_older_tokens_are_refused_and_newer_ones_are_not(sample: Harness[Any]) -> None:
    assert (await make(sample, bearer(3))).status_code == 201
    await sample.deliver(revoked(4))
    for outdated in (bearer(3), bearer()):
        refused = await make(sample, outdated)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_revoked")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert (await make(sample, bearer(4))).status_code == 201
    assert (await make(sample, sample.signed_in())).status_code == 201


async def test_a_service_is_refused_on_behalf_of_a_revoked_token(
    sample: Harness[Any],
) -> None:
    await sample.deliver(revoked(4))
    headers = {
        "Authorization": f"Bearer {service_token('orders')}",
        "X-Caller-Token": access_token(user_id=ADA, gen={str(ADA): 3}),
    }
    refused = await sample.client.get("/internal/whoami", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_revoked")


async def test_a_permission_does_not_outlive_its_token(sample: Harness[Any]) -> None:
    await sample.deliver(revoked(4))
    headers = bearer(3, permissions=("jars:write", "ops:write", "ops:read"))
    for method, url in (
        ("DELETE", f"/v1/jars/{new_id()}"),
        ("GET", "/v1/admin/ops/sample/dead-letters"),
    ):
        refused = await sample.client.request(method, url, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_revoked"), url


async def test_one_session_ends_and_the_others_go_on(sample: Harness[Any]) -> None:
    ended, other = new_id(), new_id()
    await sample.deliver(SessionTokensRevoked(session_id=ended, user_id=ADA))
    assert (await make(sample, bearer(sid=str(ended)))).status_code == 401
    assert (await make(sample, bearer(sid=str(other)))).status_code == 201


async def test_a_changed_role_counts_for_all_who_have_it(sample: Harness[Any]) -> None:
    role = new_id()
    await sample.deliver(RoleTokensRevoked(role_id=role, generation=2))
    for _ in range(2):
        holder = {"user_id": new_id(), "gen": {str(role): 1}}
        assert (await make(sample, sample.signed_in(**holder))).status_code == 401
    assert (await make(sample, sample.signed_in(gen={str(role): 2}))).status_code == 201


async def test_events_may_come_in_any_order_and_twice(sample: Harness[Any]) -> None:
    await sample.deliver(revoked(5), revoked(3), revoked(4))
    await sample.deliver(revoked(4))
    known = Revocations(sample.running.database)
    assert not await check(known, 4)
    assert await check(known, 5)


async def test_what_another_process_stored_is_seen_though_it_commits_late(
    sample: Harness[Any],
) -> None:
    """A transaction that began before others were read, and commits after them."""
    known, late = Revocations(sample.running.database), new_id()
    async with sample.transaction() as slow:
        await revocations.store([UserTokensRevoked(user_id=late, generation=2)], slow)
        async with sample.transaction() as quick:
            await revocations.store([revoked(4)], quick)
        assert not await check(known, 3)
        assert await check(known, 1, late)
    expire(known)
    assert not await check(known, 1, late)
    assert not await check(known, 3)


async def test_requests_share_one_reading(sample: Harness[Any]) -> None:
    known, gauges = Revocations(sample.running.database), 0
    read = known._read

    async def counted() -> None:
        nonlocal gauges
        gauges += 1
        await read()

    known._read = counted  # type: ignore[method-assign]
    await asyncio.gather(*(check(known, 3) for _ in range(50)))
    assert gauges == 1


async def test_no_token_counts_while_it_cannot_be_known(sample: Harness[Any]) -> None:
    known = Revocations(sample.running.database)
    await known.check({ADA: 3})
    await sample.sql("alter table token_cutoffs rename to elsewhere")
    try:
        expire(known)
        with pytest.raises(Exception, match="token_cutoffs"):
            await known.check({ADA: 3})
    finally:
        await sample.sql("alter table elsewhere rename to token_cutoffs")
    known._reading._paused_until = 0
    await known.check({ADA: 3})


async def test_a_silent_database_is_not_waited_for(sample: Harness[Any]) -> None:
    known = Revocations(sample.running.database)
    known._reading.time_limit = 0.2
    async with sample.transaction() as other:
        await other.execute(text("lock table token_cutoffs in access exclusive mode"))
        with pytest.raises(Problem) as refused:
            await asyncio.wait_for(known.check({ADA: 3}), 5)
    assert refused.value.status == 503
    assert "Retry-After" in refused.value.headers


async def test_what_concerns_only_expired_tokens_is_forgotten(sample: Harness[Any]) -> None:
    recent = new_id()
    await sample.deliver(revoked(4), UserTokensRevoked(user_id=recent, generation=2))
    await sample.sql(
        "update token_cutoffs set created_at = now() - interval '12 minutes' where subject = :id",
        id=ADA,
    )
    assert (await sample.prune())["token_cutoffs"] == 1
    [row] = await sample.sql("select subject from token_cutoffs")
    assert row.subject == recent


async def test_memory_forgets_with_the_database(sample: Harness[Any]) -> None:
    known = Revocations(sample.running.database)
    await sample.deliver(revoked(4))
    assert not await check(known, 3)
    await sample.sql("delete from token_cutoffs")
    known._loaded_at = float("-inf")
    expire(known)
    assert await check(known, 3)


def person(**claims: Any) -> Caller:
    now = int(time.time())
    return caller_from_claims(
        {
            "sub": str(ADA), "cid": str(new_id()), "email": "ada@example.com",
            "email_verified": True, "roles": [], "permissions": [], "exp": now + 600, **claims,
        }
    )  # fmt: skip


async def test_a_stream_goes_on_only_while_its_token_counts(sample: Harness[Any]) -> None:
    known = sample.running.revocations
    assert await is_still_valid(known, None)
    assert await is_still_valid(known, person(gen={str(ADA): 3}))
    assert not await is_still_valid(known, person(exp=int(time.time()) - LEEWAY - 1))
    await sample.deliver(revoked(4))
    expire(known)
    assert not await is_still_valid(known, person(gen={str(ADA): 3}))
    assert await is_still_valid(known, person(gen={str(ADA): 4}))


@pytest.mark.parametrize("generations", [[], "x", {"x": 1}, {str(ADA): "x"}, {str(ADA): None}])
async def test_generations_that_are_none_are_refused(
    sample: Harness[Any], generations: Any
) -> None:
    refused = await make(sample, bearer(gen=generations))
    assert (refused.status_code, refused.json()["code"]) == (401, "bad_token")
