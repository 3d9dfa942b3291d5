"""The HTTP edge: identity, strict bodies, problems, idempotency, pages, ETags, transactions."""

import asyncio
import json
import time
from typing import Any

import jwt
import pytest
from sample.service import JarView, service
from sqlalchemy import text
from structlog.testing import capture_logs

from chassis import middleware
from chassis.idempotency import Claim, RequestInProgress, claim, expire_lease
from chassis.ids import new_id
from chassis.keys import KeySet
from testkit.harness import KEY, Harness, access_token, model_differences, service_token

JAR = {"name": "tea", "coins": 3}


async def post(sample: Harness[Any], key: str | None = "k1", **changes: Any) -> Any:
    headers = sample.signed_in(user_id=changes.pop("user_id", None))
    if key is not None:
        headers["Idempotency-Key"] = key
    return await sample.client.post("/v1/jars", json={**JAR, **changes}, headers=headers)


async def test_a_post_answers_after_its_commit_and_publishes_its_event(
    sample: Harness[Any],
) -> None:
    answer = await post(sample)

    assert answer.status_code == 201, answer.text
    assert len(await sample.sql("select * from jars")) == 1
    assert [message.sequence for message in await sample.published()] == [1]


async def test_the_same_key_has_one_effect_and_one_answer(sample: Harness[Any]) -> None:
    user = new_id()
    first = await post(sample, user_id=user)
    again = await post(sample, user_id=user)

    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await post(sample, user_id=user, coins=4)).json()["code"] == "idempotency_key_reused"
    assert (await post(sample, user_id=new_id())).json()["id"] != first.json()["id"]
    assert len(await sample.sql("select * from jars")) == 2


async def test_twenty_equal_posts_at_once_have_one_effect(sample: Harness[Any]) -> None:
    user = new_id()
    answers = await asyncio.gather(*(post(sample, user_id=user) for _ in range(20)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({a.content for a in answers if a.status_code == 201}) == 1
    assert len(await sample.sql("select * from jars")) == 1


async def test_an_expired_lease_is_taken_over_with_the_same_id(sample: Harness[Any]) -> None:
    user = new_id()
    first = await post(sample, user_id=user)
    await sample.sql("delete from jars")
    await sample.sql(
        "update idempotency_keys set state = 'running', lease_until = now() - interval '1 s'"
    )

    assert (await post(sample, user_id=user)).json()["id"] == first.json()["id"]


async def test_a_request_that_lost_its_lease_has_no_effect(sample: Harness[Any]) -> None:
    user = new_id()
    assert (await post(sample, user_id=user)).status_code == 201
    late = Claim(principal=f"user:{user}", key="k1", resource_id=new_id())
    with pytest.raises(RequestInProgress):
        async with sample.running.database.transaction() as tx:
            await tx.execute(text("delete from jars"))
            await late.store(tx, 201, JarView(id=late.resource_id, coins=1))

    assert len(await sample.sql("select * from jars")) == 1


async def test_a_repeat_after_an_outage_gets_the_same_resource_id(sample: Harness[Any]) -> None:
    database = sample.running.database
    held = await claim(database, "user:1", "k1", "POST /v1/jars", b"{}", 60)
    with pytest.raises(RequestInProgress):
        await claim(database, "user:1", "k1", "POST /v1/jars", b"{}", 60)
    await expire_lease(database, held)
    again = await claim(database, "user:1", "k1", "POST /v1/jars", b"{}", 60)
    assert again.resource_id == held.resource_id


async def test_a_refused_request_lets_go_of_its_key(sample: Harness[Any]) -> None:
    user = new_id()
    assert (await post(sample, user_id=user, coins=-1)).status_code == 422
    assert (await post(sample, user_id=user)).status_code == 201


async def test_a_missing_or_bad_key_is_refused(sample: Harness[Any]) -> None:
    assert (await post(sample, key=None)).json()["code"] == "idempotency_key_missing"
    assert (await post(sample, key="a b")).json()["code"] == "bad_idempotency_key"


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "tea", "coins": NaN}',
        b'{"name": "tea", "coins": 1e400}',
        b'{"name": "tea", "coins": "3"}',
        b'{"name": "tea", "coins": false}',
        b'{"name": "tea", "coins": 3.0}',
        b'{"name": "tea", "coins": 3, "is_admin": true}',
        b'{"name": "\\ud800", "coins": 3}',
        b'{"name": "a\\u0000b", "coins": 3}',
        b'{"name": "tea", "coins": 99999999999999999999999999999999999999999}',
        b'{"name": "tea", "coins": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"name": "tea", "coins": ' + b"[" * 100_000,
        b'{"\\ud800": 1}',
        b"[]",
        b"",
        b"{",
    ],
)
async def test_hostile_json_is_refused_without_an_echo(sample: Harness[Any], body: bytes) -> None:
    headers = {**sample.signed_in(), "Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await sample.client.post("/v1/jars", content=body, headers=headers)

    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert "tea" not in answer.text


async def test_a_large_body_is_refused_whatever_it_claims(sample: Harness[Any]) -> None:
    async def endless() -> Any:
        for _ in range(200):
            yield b" " * 10_000

    headers = {**sample.signed_in(), "Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await sample.client.post("/v1/jars", content=endless(), headers=headers)
    assert answer.status_code == 413
    answer = await sample.client.post("/v1/jars", content=b" " * 2_000_000, headers=headers)
    assert answer.status_code == 413


async def test_another_content_type_is_refused(sample: Harness[Any]) -> None:
    answer = await sample.client.post(
        "/v1/jars", content=b"{}", headers={"Content-Type": "text/xml"}
    )
    assert answer.json()["code"] == "unsupported_media_type"


def forged(**claims: Any) -> str:
    return access_token(**claims)


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        access_token(exp=int(time.time()) - 60),
        access_token(aud="another"),
        access_token(iss="another"),
        access_token(typ="refresh"),
        service_token("orders"),
        access_token(cid="not an id"),
        jwt.encode({"sub": "x"}, KEY, algorithm="ES256", headers={"kid": "test"}),
        jwt.encode({"sub": "x"}, "k" * 32, algorithm="HS256", headers={"kid": "test"}),
        jwt.encode({"sub": "x"}, "", algorithm="none"),
        access_token()[:-4] + "AAAA",
    ],
)
async def test_a_bad_token_is_refused(sample: Harness[Any], token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    answer = await sample.client.post("/v1/jars", json=JAR, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_pinned_key_is_trusted_without_a_request() -> None:
    keys = KeySet("http://127.0.0.1:9/jwks", "cartwright", "cartwright")
    keys.pin({"test": KEY.public_key()})
    assert (await keys.claims(access_token(), "access"))["typ"] == "access"


async def test_services_and_users_do_not_pass_for_one_another(sample: Harness[Any]) -> None:
    user = new_id()
    service_headers = {
        "Authorization": f"Bearer {service_token('orders')}",
        "X-Caller-Token": access_token(user_id=user),
    }
    body = (await sample.client.get("/internal/whoami", headers=service_headers)).json()
    assert body == {"service": "orders", "for": str(user)}
    refused = await sample.client.get("/internal/whoami", headers=sample.signed_in())
    assert refused.status_code == 401


async def test_permissions_guard_a_route(sample: Harness[Any]) -> None:
    url = f"/v1/jars/{new_id()}"
    assert (await sample.client.delete(url)).status_code == 401
    assert (await sample.client.delete(url, headers=sample.signed_in())).status_code == 403


async def test_pages_walk_a_list_to_its_end(sample: Harness[Any]) -> None:
    for number in range(5):
        await post(sample, key=f"k{number}")
    seen, cursor = [], None
    for _ in range(3):
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await sample.client.get("/v1/jars", params=query)).json()
        seen += [jar["id"] for jar in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert len(set(seen)) == 5


@pytest.mark.parametrize("cursor", ["!", "bm9wZQ", "W10", "WzFd", "WyJ4Il0", "é", "W251bGxd"])
async def test_a_bad_cursor_is_refused(sample: Harness[Any], cursor: str) -> None:
    answer = await sample.client.get("/v1/jars", params={"cursor": cursor})
    assert answer.json()["code"] == "bad_cursor"


async def test_a_change_names_the_version_it_saw(sample: Harness[Any]) -> None:
    jar = (await post(sample)).json()["id"]
    url = f"/v1/jars/{jar}"
    assert (await sample.client.put(url, json=JAR)).status_code == 428
    assert (await sample.client.put(url, json=JAR, headers={"If-Match": "x"})).status_code == 400
    assert (await sample.client.put(url, json=JAR, headers={"If-Match": '"1"'})).status_code == 200
    assert (await sample.client.put(url, json=JAR, headers={"If-Match": '"1"'})).status_code == 412


async def test_a_failed_commit_is_never_answered_with_success(sample: Harness[Any]) -> None:
    await sample.sql(
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin raise exception 'no'; end $$"
    )
    await sample.sql(
        "create constraint trigger late after insert on jars deferrable initially deferred "
        "for each row execute function refuse()"
    )
    answer = await post(sample, coins=1)
    assert answer.status_code == 500
    assert json.loads(answer.text)["code"] == "internal_error"
    assert await sample.sql("select * from jars") == []
    assert await sample.published() == []


def test_the_models_are_what_the_migrations_make(template: str) -> None:
    assert model_differences(service, template) == []


@pytest.mark.parametrize(("before", "warnings"), [(0, []), (2, [2000.0])])
async def test_a_stream_is_slow_only_until_it_begins(
    monkeypatch: pytest.MonkeyPatch, before: float, warnings: list[float]
) -> None:
    now = 0.0
    monkeypatch.setattr("chassis.middleware.time.perf_counter", lambda: now)

    async def stream(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal now
        now += before
        await send({"type": "http.response.start", "status": 200, "headers": []})
        now += 60
        await send({"type": "http.response.body", "body": b""})

    async def send(_message: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/v1/progress", "headers": []}
    with capture_logs() as lines:
        await middleware.wrap(stream, 1)(scope, receive, send)
    assert [line["took_ms"] for line in lines if line["log_level"] == "warning"] == warnings
