"""The routes: one's own notifications and preferences, and the queue for staff."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from notifications.domain import OFFERED

from .shop import Shop, a_notice

LIST = "/v1/me/notifications"
PREFERENCES = "/v1/me/preferences"
EMAILS = "/v1/admin/emails"


@pytest.fixture
def ada() -> UUID:
    return new_id()


@pytest.fixture
def as_ada(shop: Shop, ada: UUID) -> dict[str, str]:
    return shop.harness.signed_in(user_id=ada)


@pytest.fixture
def as_staff(shop: Shop) -> dict[str, str]:
    return shop.harness.signed_in(permissions=("notifications:read", "notifications:write"))


def off(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"preferences": [{"type": t, "channel": c, "enabled": False} for t, c in pairs]}


async def test_notifications_are_read_newest_first_in_pages(
    shop: Shop, ada: UUID, as_ada: dict[str, str]
) -> None:
    for number in range(5):
        await shop.harness.deliver(a_notice(user_id=ada, facts={"order_number": f"2026-{number}"}))
    await shop.harness.deliver(a_notice())

    first = (await shop.harness.client.get(f"{LIST}?limit=3", headers=as_ada)).json()
    query = {"limit": 3, "cursor": first["next_cursor"]}
    second = (await shop.harness.client.get(LIST, params=query, headers=as_ada)).json()

    titles = [item["title"] for item in first["items"] + second["items"]]
    assert titles == [f"Your order 2026-{number} is confirmed" for number in (4, 3, 2, 1, 0)]
    assert second["next_cursor"] is None


async def test_reading_one_counts_once_and_reading_all_counts_the_rest(
    shop: Shop, ada: UUID, as_ada: dict[str, str]
) -> None:
    client = shop.harness.client
    await shop.harness.deliver(*(a_notice(user_id=ada) for _ in range(3)), a_notice())
    items = (await client.get(LIST, headers=as_ada)).json()["items"]
    url = f"{LIST}/{items[0]['id']}/read"
    first, again = [(await client.post(url, headers=as_ada)).json() for _ in range(2)]
    unread = (await client.get(f"{LIST}?unread=true", headers=as_ada)).json()["items"]
    read = (await client.get(f"{LIST}?unread=false", headers=as_ada)).json()["items"]

    assert first["read_at"] is not None
    assert first == again
    assert [item["id"] for item in unread] == [item["id"] for item in items[1:]]
    assert [item["id"] for item in read] == [items[0]["id"]]
    assert (await client.post(f"{LIST}/read-all", headers=as_ada)).json() == {"read": 2}
    assert (await client.post(f"{LIST}/read-all", headers=as_ada)).json() == {"read": 0}
    (others,) = await shop.harness.sql("select * from notifications where read_at is null")
    assert others.user_id != ada


async def test_another_persons_notification_is_not_there(
    shop: Shop, as_ada: dict[str, str]
) -> None:
    await shop.harness.deliver(a_notice())
    (row,) = await shop.harness.sql("select id from notifications")
    answer = await shop.harness.client.post(f"{LIST}/{row.id}/read", headers=as_ada)
    assert answer.status_code == 404
    assert (await shop.harness.client.get(LIST, headers=as_ada)).json()["items"] == []


async def test_everything_is_on_until_it_is_switched_off(
    shop: Shop, ada: UUID, as_ada: dict[str, str]
) -> None:
    client = shop.harness.client
    before = await client.get(PREFERENCES, headers=as_ada)
    assert [(p["type"], p["channel"]) for p in before.json()["preferences"]] == list(OFFERED)
    assert all(p["enabled"] for p in before.json()["preferences"])

    body = off(("order_shipped", "email"), ("refund", "in_app"))
    changed = await client.put(
        PREFERENCES, json=body, headers=as_ada | {"If-Match": before.headers["etag"]}
    )
    assert changed.status_code == 200
    disabled = [p for p in changed.json()["preferences"] if not p["enabled"]]
    assert {(p["type"], p["channel"]) for p in disabled} == {
        ("order_shipped", "email"),
        ("refund", "in_app"),
    }
    await shop.harness.deliver(a_notice("order_shipped", user_id=ada))
    assert await shop.emails() == []

    again = await client.put(
        PREFERENCES, json=changed.json() | {}, headers=as_ada | {"If-Match": '"1"'}
    )
    assert again.status_code == 422  # `required` is not for clients to say
    everything = await client.put(
        PREFERENCES, json={"preferences": []}, headers=as_ada | {"If-Match": '"1"'}
    )
    assert all(p["enabled"] for p in everything.json()["preferences"])
    assert everything.headers["etag"] == '"2"'


async def test_what_must_be_told_stays_on(shop: Shop, as_ada: dict[str, str]) -> None:
    for pair, status, code in (
        (("verification", "email"), 409, "notification_required"),
        (("password_reset", "email"), 409, "notification_required"),
        (("order_confirmation", "email"), 409, "notification_required"),
        (("verification", "in_app"), 422, "channel_not_offered"),
        (("order_shipped", "push"), 422, "invalid_request"),
        (("gossip", "email"), 422, "invalid_request"),
    ):
        answer = await shop.harness.client.put(
            PREFERENCES,
            json=off(("order_shipped", "email"), pair),
            headers=as_ada | {"If-Match": '"0"'},
        )
        assert (answer.status_code, answer.json()["code"]) == (status, code), pair
    now = (await shop.harness.client.get(PREFERENCES, headers=as_ada)).json()["preferences"]
    assert all(preference["enabled"] for preference in now)


async def test_what_must_be_told_may_be_named_as_on(shop: Shop, as_ada: dict[str, str]) -> None:
    body = {"preferences": [{"type": "verification", "channel": "email", "enabled": True}]}
    answer = await shop.harness.client.put(
        PREFERENCES, json=body, headers=as_ada | {"If-Match": '"0"'}
    )
    assert answer.status_code == 200


async def test_bad_preferences_are_refused(shop: Shop, as_ada: dict[str, str]) -> None:
    cases: list[tuple[str | None, Any, int]] = [
        (None, off(), 428),
        ('"7"', off(), 412),
        ("7", off(), 400),
        ('"0"', off(("order_shipped", "email"), ("order_shipped", "email")), 422),
        ('"0"', {"preferences": [{"type": "refund", "channel": "in_app", "enabled": "no"}]}, 422),
        ('"0"', {"preferences": None}, 422),
        ('"0"', [], 422),
        ('"0"', {"preferences": [], "more": 1}, 422),
        ('"999999999999999999"', off(), 412),
    ]
    for match, body, status in cases:
        headers = as_ada | ({"If-Match": match} if match else {})
        answer = await shop.harness.client.put(PREFERENCES, json=body, headers=headers)
        assert answer.status_code == status, (match, body, answer.text)


async def test_of_rival_changes_one_wins(shop: Shop, as_ada: dict[str, str]) -> None:
    rivals = [
        shop.harness.client.put(
            PREFERENCES,
            json=off(("order_shipped", "email")),
            headers=as_ada | {"If-Match": '"0"'},
        )
        for _ in range(5)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*rivals))
    assert statuses == [200, 412, 412, 412, 412]


async def test_staff_find_mails_by_status_recipient_and_reference(
    shop: Shop, as_staff: dict[str, str]
) -> None:
    client = shop.harness.client
    facts = {"name": "canary"}
    notice = a_notice("verification", recipient="Ada@Example.com", facts=facts)
    await shop.harness.deliver(notice, a_notice(recipient="eve@example.com"))
    await shop.harness.sql(
        "update email_messages set status = 'failed', due_at = null, last_error = '550 no' "
        "where recipient = 'eve@example.com'"
    )

    async def found(**query: Any) -> list[str]:
        answer = await client.get(EMAILS, params=query, headers=as_staff)
        assert "canary" not in answer.text
        return [item["recipient"] for item in answer.json()["items"]]

    assert await found() == ["eve@example.com", "Ada@Example.com"]
    assert await found(status="failed") == ["eve@example.com"]
    assert await found(status="sent") == []
    assert await found(recipient="ada@example.com") == ["Ada@Example.com"]
    assert await found(recipient="ada") == []
    assert await found(reference_id=str(notice.reference_id)) == ["Ada@Example.com"]
    page = (await client.get(f"{EMAILS}?limit=1", headers=as_staff)).json()
    assert await found(limit=1, cursor=page["next_cursor"]) == ["Ada@Example.com"]

    one = await client.get(f"{EMAILS}/{page['items'][0]['id']}", headers=as_staff)
    assert one.json() == page["items"][0]
    assert one.json()["last_error"] == "550 no"


async def test_only_a_failed_mail_that_is_still_true_is_tried_again(
    shop: Shop, as_staff: dict[str, str]
) -> None:
    await shop.harness.deliver(a_notice(), a_notice())
    pending, expired = await shop.emails()
    await shop.harness.sql(
        "update email_messages set status = 'failed', due_at = null, expires_at = now() "
        "where id = :id",
        id=expired.id,
    )

    async def retry(email_id: UUID) -> tuple[int, str]:
        answer = await shop.harness.client.post(f"{EMAILS}/{email_id}/retry", headers=as_staff)
        return answer.status_code, answer.json().get("code")

    assert await retry(pending.id) == (409, "email_not_failed")
    assert await retry(expired.id) == (409, "email_expired")
    assert await retry(new_id()) == (404, "not_found")


async def test_of_rival_retries_one_wins(shop: Shop, as_staff: dict[str, str]) -> None:
    await shop.harness.deliver(a_notice())
    await shop.harness.sql("update email_messages set status = 'failed', due_at = null")
    (email,) = await shop.emails()
    rivals = [
        shop.harness.client.post(f"{EMAILS}/{email.id}/retry", headers=as_staff) for _ in range(4)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*rivals))
    assert statuses == [202, 409, 409, 409]


async def test_the_queue_is_for_staff(shop: Shop, as_ada: dict[str, str]) -> None:
    client, one = shop.harness.client, f"{EMAILS}/{new_id()}"
    for method, path in (("GET", EMAILS), ("GET", one), ("POST", f"{one}/retry")):
        assert (await client.request(method, path)).status_code == 401
        assert (await client.request(method, path, headers=as_ada)).status_code == 403


async def test_readers_may_not_retry(shop: Shop) -> None:
    reader = shop.harness.signed_in(permissions=("notifications:read",))
    answer = await shop.harness.client.post(f"{EMAILS}/{new_id()}/retry", headers=reader)
    assert answer.status_code == 403


async def test_malformed_questions_are_refused(shop: Shop, as_staff: dict[str, str]) -> None:
    for path in (
        f"{LIST}?cursor=nonsense",
        f"{LIST}?cursor=WyJub3QgYW4gaWQiXQ",
        f"{LIST}?limit=0",
        f"{LIST}?limit=1000",
        f"{LIST}?unread=perhaps",
        f"{EMAILS}?status=lost",
        f"{EMAILS}?recipient=%00",
        f"{EMAILS}?recipient={'x' * 300}",
        f"{EMAILS}?reference_id=7",
        f"{EMAILS}/7",
    ):
        answer = await shop.harness.client.get(path, headers=as_staff)
        assert answer.status_code in {400, 422}, (path, answer.text)


async def test_guests_have_neither_notifications_nor_preferences(shop: Shop) -> None:
    for path in (LIST, PREFERENCES):
        assert (await shop.harness.client.get(path)).status_code == 401
