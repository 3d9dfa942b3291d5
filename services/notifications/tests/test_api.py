"""The routes of users (notifications and preferences) and of staff (queue of mails)."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from notifications.domain.notification import CHANNEL_OPTIONS

from .mail_harness import MailHarness, notify_command

LIST = "/v1/me/notifications"
PREFERENCES = "/v1/me/preferences"
EMAILS = "/v1/admin/emails"


@pytest.fixture
def ada() -> UUID:
    return new_id()


@pytest.fixture
def as_ada(mails: MailHarness, ada: UUID) -> dict[str, str]:
    return mails.harness.signed_in(user_id=ada)


@pytest.fixture
def as_staff(mails: MailHarness) -> dict[str, str]:
    return mails.harness.signed_in(permissions=("notifications:read", "notifications:write"))


def switched_off(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"preferences": [{"type": t, "channel": c, "enabled": False} for t, c in pairs]}


async def test_notifications_are_listed_newest_first_in_pages(
    mails: MailHarness, ada: UUID, as_ada: dict[str, str]
) -> None:
    for number in range(5):
        await mails.harness.deliver(
            notify_command(user_id=ada, facts={"order_number": f"2026-{number}"})
        )
    await mails.harness.deliver(notify_command())

    first = (await mails.harness.client.get(f"{LIST}?limit=3", headers=as_ada)).json()
    query = {"limit": 3, "cursor": first["next_cursor"]}
    second = (await mails.harness.client.get(LIST, params=query, headers=as_ada)).json()

    titles = [item["title"] for item in first["items"] + second["items"]]
    assert titles == [f"Your order 2026-{number} is confirmed" for number in (4, 3, 2, 1, 0)]
    assert second["next_cursor"] is None


async def test_read_all_counts_only_unread_notifications(
    mails: MailHarness, ada: UUID, as_ada: dict[str, str]
) -> None:
    client = mails.harness.client
    await mails.harness.deliver(*(notify_command(user_id=ada) for _ in range(3)), notify_command())
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
    (others,) = await mails.harness.sql("select * from notifications where read_at is null")
    assert others.user_id != ada


async def test_a_notification_of_another_user_is_not_found(
    mails: MailHarness, as_ada: dict[str, str]
) -> None:
    await mails.harness.deliver(notify_command())
    (row,) = await mails.harness.sql("select id from notifications")
    answer = await mails.harness.client.post(f"{LIST}/{row.id}/read", headers=as_ada)
    assert answer.status_code == 404
    assert (await mails.harness.client.get(LIST, headers=as_ada)).json()["items"] == []


async def test_every_channel_is_on_until_it_is_switched_off(
    mails: MailHarness, ada: UUID, as_ada: dict[str, str]
) -> None:
    client = mails.harness.client
    before = await client.get(PREFERENCES, headers=as_ada)
    assert [(p["type"], p["channel"]) for p in before.json()["preferences"]] == list(
        CHANNEL_OPTIONS
    )
    assert all(p["enabled"] for p in before.json()["preferences"])

    body = switched_off(("order_shipped", "email"), ("refund", "in_app"))
    changed = await client.put(
        PREFERENCES, json=body, headers=as_ada | {"If-Match": before.headers["etag"]}
    )
    assert changed.status_code == 200
    disabled = [p for p in changed.json()["preferences"] if not p["enabled"]]
    assert {(p["type"], p["channel"]) for p in disabled} == {
        ("order_shipped", "email"),
        ("refund", "in_app"),
    }
    await mails.harness.deliver(notify_command("order_shipped", user_id=ada))
    assert await mails.emails() == []

    again = await client.put(
        PREFERENCES, json=changed.json() | {}, headers=as_ada | {"If-Match": '"1"'}
    )
    assert again.status_code == 422  # clients cannot set `required`
    everything = await client.put(
        PREFERENCES, json={"preferences": []}, headers=as_ada | {"If-Match": '"1"'}
    )
    assert all(p["enabled"] for p in everything.json()["preferences"])
    assert everything.headers["etag"] == '"2"'


async def test_required_notifications_cannot_be_switched_off(
    mails: MailHarness, as_ada: dict[str, str]
) -> None:
    for pair, status, code in (
        (("verification", "email"), 409, "notification_required"),
        (("password_reset", "email"), 409, "notification_required"),
        (("order_confirmation", "email"), 409, "notification_required"),
        (("verification", "in_app"), 422, "channel_not_offered"),
        (("order_shipped", "push"), 422, "invalid_request"),
        (("gossip", "email"), 422, "invalid_request"),
    ):
        answer = await mails.harness.client.put(
            PREFERENCES,
            json=switched_off(("order_shipped", "email"), pair),
            headers=as_ada | {"If-Match": '"0"'},
        )
        assert (answer.status_code, answer.json()["code"]) == (status, code), pair
    now = (await mails.harness.client.get(PREFERENCES, headers=as_ada)).json()["preferences"]
    assert all(preference["enabled"] for preference in now)


async def test_required_notifications_may_be_listed_as_on(
    mails: MailHarness, as_ada: dict[str, str]
) -> None:
    body = {"preferences": [{"type": "verification", "channel": "email", "enabled": True}]}
    answer = await mails.harness.client.put(
        PREFERENCES, json=body, headers=as_ada | {"If-Match": '"0"'}
    )
    assert answer.status_code == 200


async def test_invalid_preferences_are_rejected(mails: MailHarness, as_ada: dict[str, str]) -> None:
    cases: list[tuple[str | None, Any, int]] = [
        (None, switched_off(), 428),
        ('"7"', switched_off(), 412),
        ("7", switched_off(), 400),
        ('"0"', switched_off(("order_shipped", "email"), ("order_shipped", "email")), 422),
        ('"0"', {"preferences": [{"type": "refund", "channel": "in_app", "enabled": "no"}]}, 422),
        ('"0"', {"preferences": None}, 422),
        ('"0"', [], 422),
        ('"0"', {"preferences": [], "more": 1}, 422),
        ('"999999999999999999"', switched_off(), 412),
    ]
    for match, body, status in cases:
        headers = as_ada | ({"If-Match": match} if match else {})
        answer = await mails.harness.client.put(PREFERENCES, json=body, headers=headers)
        assert answer.status_code == status, (match, body, answer.text)


async def test_one_of_several_concurrent_changes_wins(
    mails: MailHarness, as_ada: dict[str, str]
) -> None:
    rivals = [
        mails.harness.client.put(
            PREFERENCES,
            json=switched_off(("order_shipped", "email")),
            headers=as_ada | {"If-Match": '"0"'},
        )
        for _ in range(5)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*rivals))
    assert statuses == [200, 412, 412, 412, 412]


async def test_staff_find_mails_by_status_recipient_and_reference(
    mails: MailHarness, as_staff: dict[str, str]
) -> None:
    client = mails.harness.client
    facts = {"name": "canary"}
    notice = notify_command("verification", recipient="Ada@Example.com", facts=facts)
    await mails.harness.deliver(notice, notify_command(recipient="eve@example.com"))
    await mails.harness.sql(
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


async def test_only_a_failed_and_unexpired_mail_can_be_retried(
    mails: MailHarness, as_staff: dict[str, str]
) -> None:
    await mails.harness.deliver(notify_command(), notify_command())
    pending, expired = await mails.emails()
    await mails.harness.sql(
        "update email_messages set status = 'failed', due_at = null, expires_at = now() "
        "where id = :id",
        id=expired.id,
    )

    async def retry(email_id: UUID) -> tuple[int, str]:
        answer = await mails.harness.client.post(f"{EMAILS}/{email_id}/retry", headers=as_staff)
        return answer.status_code, answer.json().get("code")

    assert await retry(pending.id) == (409, "email_not_failed")
    assert await retry(expired.id) == (409, "email_expired")
    assert await retry(new_id()) == (404, "not_found")


async def test_one_of_several_concurrent_retries_wins(
    mails: MailHarness, as_staff: dict[str, str]
) -> None:
    await mails.harness.deliver(notify_command())
    await mails.harness.sql("update email_messages set status = 'failed', due_at = null")
    (email,) = await mails.emails()
    rivals = [
        mails.harness.client.post(f"{EMAILS}/{email.id}/retry", headers=as_staff) for _ in range(4)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*rivals))
    assert statuses == [202, 409, 409, 409]


async def test_only_staff_see_the_queue(mails: MailHarness, as_ada: dict[str, str]) -> None:
    client, one = mails.harness.client, f"{EMAILS}/{new_id()}"
    for method, path in (("GET", EMAILS), ("GET", one), ("POST", f"{one}/retry")):
        assert (await client.request(method, path)).status_code == 401
        assert (await client.request(method, path, headers=as_ada)).status_code == 403


async def test_retrying_needs_write_permission(mails: MailHarness) -> None:
    reader = mails.harness.signed_in(permissions=("notifications:read",))
    answer = await mails.harness.client.post(f"{EMAILS}/{new_id()}/retry", headers=reader)
    assert answer.status_code == 403


async def test_malformed_queries_are_rejected(mails: MailHarness, as_staff: dict[str, str]) -> None:
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
        answer = await mails.harness.client.get(path, headers=as_staff)
        assert answer.status_code in {400, 422}, (path, answer.text)


async def test_guests_have_neither_notifications_nor_preferences(mails: MailHarness) -> None:
    for path in (LIST, PREFERENCES):
        assert (await mails.harness.client.get(path)).status_code == 401
