"""Reading the feed: every event once, in order, byte for byte, within the granted types."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from chassis.ids import new_id
from contracts import structured
from contracts.identity import UserTokensRevoked
from feed import store
from feed.domain import covers, like_pattern
from feed.main import service
from subscriber import Logged
from testkit.harness import Harness, model_differences

Feed = Harness[Any]
Append = Callable[..., Awaitable[list[Logged]]]
Grant = Callable[..., Awaitable[dict[str, str]]]


async def read(
    feed: Feed, headers: dict[str, str], after: str = "", **query: Any
) -> tuple[list[Any], str]:
    params = {"after": after, **query} if after else query
    answer = await feed.client.get("/v1/events", params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return structured.read_batch(answer.content, "items"), answer.json()["next_cursor"]


async def test_events_are_returned_as_published(feed: Feed, append: Append, grant: Grant) -> None:
    appended = await append("orders.OrderPlaced", "inventory.StockChanged")
    found, _ = await read(feed, await grant())
    assert found == [(each.envelope, each.data) for each in appended]


async def test_paging_returns_every_event_once(feed: Feed, append: Append, grant: Grant) -> None:
    appended = await append(*["orders.OrderPlaced"] * 7)
    headers = await grant()
    ids, cursor = [], ""
    while page := (await read(feed, headers, cursor, limit=3)):
        found, cursor = page
        ids += [envelope.id for envelope, _ in found]
        if not found:
            break
    assert ids == [each.envelope.id for each in appended]
    (late,) = await append("orders.OrderPlaced", start=7)
    found, _ = await read(feed, headers, cursor)
    assert [envelope.id for envelope, _ in found] == [late.envelope.id]


async def test_the_cursor_of_an_empty_feed_misses_no_later_event(
    feed: Feed, append: Append, grant: Grant
) -> None:
    headers = await grant()
    found, cursor = await read(feed, headers)
    assert (found, cursor) == ([], "")
    await append("orders.OrderPlaced")
    found, cursor = await read(feed, headers, cursor)
    assert len(found) == 1
    assert await read(feed, headers, cursor) == ([], cursor)


async def test_events_are_filtered_by_type_subject_and_source(
    feed: Feed, append: Append, grant: Grant
) -> None:
    placed, changed, shipped = await append(
        "orders.OrderPlaced", "inventory.StockChanged", "orders.OrderShipped"
    )
    headers = await grant()
    for query, wanted in (
        ({"type": "orders.*"}, [placed, shipped]),
        ({"type": ["orders.OrderPlaced", "inventory.StockChanged.v1"]}, [placed, changed]),
        ({"type": "orders.OrderPlace"}, []),
        ({"subject": changed.envelope.subject}, [changed]),
        ({"source": "/orders/order", "type": "orders.OrderShipped"}, [shipped]),
    ):
        found, cursor = await read(feed, headers, **query)
        assert [envelope.id for envelope, _ in found] == [each.envelope.id for each in wanted]
        assert cursor == "2"


async def test_a_subscriber_reads_only_granted_types(
    feed: Feed, append: Append, grant: Grant
) -> None:
    await append("orders.OrderPlaced", "payments.PaymentCaptured", "orders.OrderShipped")
    headers = await grant("billing", "orders.OrderPlaced", "inventory.*")
    found, _ = await read(feed, headers)
    assert [envelope.type for envelope, _ in found] == ["cartwright.orders.OrderPlaced.v1"]
    found, _ = await read(feed, headers, type=["orders.OrderPlaced.v1", "inventory.StockChanged"])
    assert len(found) == 1
    for forbidden in ("payments.*", "*", "orders.*", "orders.OrderShipped", "inventoryx.Y"):
        answer = await feed.client.get("/v1/events", params={"type": forbidden}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("headers", [{}, {"X-Feed-Token": "guess"}, {"X-Feed-Token": ""}])
async def test_a_request_without_a_valid_token_is_refused(
    feed: Feed, headers: dict[str, str]
) -> None:
    answer = await feed.client.get("/v1/events", headers=headers)
    assert answer.status_code == 401


async def test_a_new_token_replaces_the_old_and_a_deleted_subscriber_is_refused(
    feed: Feed, grant: Grant, operator: dict[str, str]
) -> None:
    old, new = await grant(), await grant()
    assert (await feed.client.get("/v1/events", headers=old)).status_code == 401
    assert (await feed.client.get("/v1/events", headers=new)).status_code == 200
    listed = await feed.client.get("/v1/admin/subscribers", headers=operator)
    (shown,) = listed.json()["items"]
    assert (shown["name"], shown["types"]) == ("billing", ["*"])
    assert "token" not in shown and "token_hash" not in shown
    url = "/v1/admin/subscribers/billing"
    assert (await feed.client.delete(url, headers=operator)).status_code == 204
    assert (await feed.client.delete(url, headers=operator)).status_code == 404
    assert (await feed.client.get("/v1/events", headers=new)).status_code == 401
    entries = await feed.sql("select action, target from audit_entries order by id")
    assert [tuple(row) for row in entries] == [
        ("feed.granted", "subscriber:billing"),
        ("feed.granted", "subscriber:billing"),
        ("feed.revoked", "subscriber:billing"),
    ]


async def test_only_operators_manage_subscribers(feed: Feed) -> None:
    for headers, status in (({}, 401), (feed.signed_in(permissions=("ops:read",)), 403)):
        url = "/v1/admin/subscribers/billing"
        assert (await feed.client.put(url, json={}, headers=headers)).status_code == status
        assert (await feed.client.delete(url, headers=headers)).status_code == status


async def test_a_banned_operator_cannot_manage_subscribers(feed: Feed) -> None:
    operator = new_id()
    headers = feed.signed_in(
        user_id=operator, permissions=("ops:read", "ops:write"), gen={str(operator): 1}
    )
    await feed.deliver(UserTokensRevoked(user_id=operator, generation=2))
    for method, path in (
        ("PUT", "/v1/admin/subscribers/warehouse"),
        ("DELETE", "/v1/admin/subscribers/warehouse"),
        ("GET", "/v1/admin/subscribers"),
    ):
        body: dict[str, Any] = {"json": {"types": ["*"]}} if method == "PUT" else {}
        answer = await feed.client.request(method, path, headers=headers, **body)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    assert await feed.sql("select 1 from subscribers") == []


@pytest.mark.parametrize(
    ("name", "types"),
    [("Billing", ["*"]), ("billing", []), ("billing", ["%"]), ("billing", ["orders.'x"])],
)
async def test_an_invalid_grant_is_refused(
    feed: Feed, operator: dict[str, str], name: str, types: list[str]
) -> None:
    url = f"/v1/admin/subscribers/{name}"
    answer = await feed.client.put(url, json={"types": types}, headers=operator)
    assert answer.status_code == 422


@pytest.mark.parametrize("cursor", ["x", "-1", "٣", "9" * 20, "1.5"])
async def test_a_malformed_cursor_is_refused(feed: Feed, grant: Grant, cursor: str) -> None:
    headers = await grant()
    answer = await feed.client.get("/v1/events", params={"after": cursor}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_a_cursor_before_the_oldest_event_is_refused_as_expired(
    feed: Feed, append: Append, grant: Grant
) -> None:
    old = datetime.now(UTC) - timedelta(days=91)
    await append("orders.OrderPlaced", "orders.OrderPlaced", time=old)
    await append("orders.OrderPlaced", start=2)
    headers = await grant()
    _, cursor = await read(feed, headers, limit=1)
    async with feed.transaction() as tx:
        assert await store.delete_expired_events(tx, datetime.now(UTC), retention_days=90) == 2
    answer = await feed.client.get("/v1/events", params={"after": cursor}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (410, "cursor_expired")
    assert len((await read(feed, headers))[0]) == 1
    assert len((await read(feed, headers, "1"))[0]) == 1


async def test_a_position_is_stored_once(feed: Feed, append: Append, grant: Grant) -> None:
    (first,) = await append("orders.OrderPlaced")
    await append("orders.OrderShipped", "orders.OrderShipped")
    found, _ = await read(feed, await grant())
    assert found[0][0].id == first.envelope.id
    assert len(found) == 2


@pytest.mark.parametrize(
    ("granted", "wanted", "is_covered"),
    [
        ("*", "orders.*", True),
        ("orders.*", "orders.OrderPlaced", True),
        ("orders.*", "orders.*", True),
        ("orders.OrderPlaced", "orders.OrderPlaced.v1", True),
        ("orders.OrderPlaced.v1", "orders.OrderPlaced", False),
        ("orders.Order", "orders.OrderPlaced", False),
        ("orders.*", "*", False),
        ("orders.*", "ordersx.Placed", False),
    ],
)
def test_a_grant_covers_the_types_it_names(granted: str, wanted: str, *, is_covered: bool) -> None:
    assert covers(granted, wanted) is is_covered


async def test_patterns_match_whole_names(feed: Feed) -> None:
    for wanted, type_name, matches in (
        ("orders.OrderPlaced", "cartwright.orders.OrderPlaced.v2", True),
        ("orders.OrderPlaced", "cartwright.orders.OrderPlacedNot.v1", False),
        ("a_b.*", "cartwright.axb.Thing.v1", False),
        ("*", "cartwright.a_b.Thing.v1", True),
    ):
        ((found,),) = await feed.sql(
            "select cast(:name as text) like :pattern", name=type_name, pattern=like_pattern(wanted)
        )
        assert found is matches, wanted


def test_the_models_match_the_migrations(template: str) -> None:
    assert model_differences(service, template) == []


async def test_the_database_refuses_a_subscriber_without_types(feed: Feed) -> None:
    with pytest.raises(DBAPIError):
        await feed.sql("insert into subscribers values ('a', 'b', '{}')")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"types": ["orders.OrderSnapshot"]}, 422, "no_such_snapshot"),
        ({"types": ["inventory.StockSnapshot"]}, 403, "forbidden"),
        ({"types": []}, 422, "invalid_request"),
        ({"types": ["catalog.ProductSnapshot"], "queue": "../x"}, 422, "invalid_request"),
    ],
)
async def test_an_invalid_snapshot_request_is_refused(
    feed: Feed, grant: Grant, body: dict[str, Any], status: int, code: str
) -> None:
    headers = await grant("billing", "catalog.*")
    answer = await feed.client.post("/v1/events/snapshots", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await feed.published() == []
