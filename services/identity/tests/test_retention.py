"""Expired credentials and deleted addresses are pruned; those in use are retained."""

from typing import Any

from .test_addresses import add

WEEK = 7


async def counts(identity: Any, *tables: str) -> list[int]:
    return [len(await identity.sql(f"select 1 from {table}")) for table in tables]


async def test_credentials_are_pruned_a_week_after_their_expiry(identity: Any, client: Any) -> None:
    await client.register_and_log_in()
    await client.log_in(password="nine herons stand in the shallows")
    tables = {"sessions": "expires_at", "email_tokens": "expires_at", "attempts": "window_ends_at"}
    for table, column in tables.items():
        await identity.sql(f"update {table} set {column} = now() - interval '1 day'")
    before = await counts(identity, *tables)

    assert not any((await identity.prune(WEEK - 1.01)).values())
    assert await counts(identity, *tables) == before
    found = await identity.prune(WEEK - 0.99)
    assert [found[table] for table in tables] == before
    assert await counts(identity, *tables, "users") == [0, 0, 0, 1]


async def test_a_valid_session_is_retained_however_old_it_is(identity: Any, client: Any) -> None:
    await client.register_and_log_in()
    await identity.sql(
        "update sessions set created_at = now() - interval '9 years', "
        "revoked_at = now() - interval '9 years'"
    )
    assert (await identity.prune())["sessions"] == 0


async def test_a_deleted_address_is_pruned_after_a_month(identity: Any, client: Any) -> None:
    ada = {"Authorization": f"Bearer {(await client.register_and_log_in())['access_token']}"}
    first, second = await add(identity, ada), await add(identity, ada)
    gone = await identity.client.delete(
        first.headers["Location"], headers={**ada, "If-Match": first.headers["ETag"]}
    )
    assert gone.status_code == 204, gone.text
    assert (await identity.prune(29.9))["addresses"] == 0
    assert (await identity.prune(30.1))["addresses"] == 1
    [left] = await identity.sql("select id from addresses")
    assert str(left.id) == second.json()["id"]
