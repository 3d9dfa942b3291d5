"""Links of mails: requested when the mail is sent, and stored in no table."""

import json
from typing import get_args

import pytest

from chassis.ids import new_id
from contracts.notifications import NotificationType
from notifications.domain.notification import LINK_OWNERS

from .link_owner import LinkOwner
from .mail_harness import MailHarness, notify_command

KINDS = tuple(LINK_OWNERS)
ADD_DEAD_LETTER = (
    "insert into dead_letters (id, digest, type, subject, sender, error, error_detail, attempts, "
    "headers, body, size) values (:id, :digest, 'cartwright.notifications.Notify.v1', 's', "
    "'orders', 'E', 'd', 1, '{}', :body, 1)"
)


async def all_stored_text(mails: MailHarness) -> str:
    """Every row of every table to which a mail writes, as text."""
    tables = ("email_messages", "notifications", "inbox", "outbox", "dead_letters")
    found = [await mails.harness.sql(f"select {t}::text from {t}") for t in tables]
    return "".join(row[0] for rows in found for row in rows)


async def test_a_link_is_in_the_mail_and_in_no_table(mails: MailHarness, owner: LinkOwner) -> None:
    facts = {"name": "Ada", "link": "https://old.example/?token=canary", "token": "canary"}
    notices = [notify_command(kind, facts=facts) for kind in KINDS]
    mails.catcher.refuse(1)
    async with mails.sending(sweeping=True):
        await mails.harness.deliver(*notices)
        assert "canary" not in await all_stored_text(mails)
        emails = await mails.wait_for_status("sent", len(KINDS))

    assert [email.payload for email in emails] == [{}] * len(KINDS)
    for mail in mails.catcher.list():
        text = mails.catcher.get(mail["id"])["text"]
        assert owner.link in text
        assert "old.example" not in text
    assert owner.tokens == {"Bearer of notifications"}
    assert set(owner.requested) == {str(notice.reference_id) for notice in notices}
    assert "canary" not in await all_stored_text(mails)


async def test_a_mail_without_a_link_requests_none(mails: MailHarness, owner: LinkOwner) -> None:
    others = [kind for kind in get_args(NotificationType) if kind not in LINK_OWNERS]
    async with mails.sending():
        await mails.harness.deliver(*(notify_command(kind) for kind in others))
        await mails.wait_for_status("sent", len(others))
    assert owner.requested == []


async def test_an_unavailable_link_owner_costs_no_attempt(
    mails: MailHarness, owner: LinkOwner
) -> None:
    owner.refusals = [503] * 20
    async with mails.sending(sweeping=True):
        await mails.harness.deliver(notify_command("verification"), notify_command("order_shipped"))
        await mails.wait_for_status("sent")
        (waiting,) = await mails.wait_for_status("pending")
        assert waiting.type == "verification"

        async def has_error() -> bool:
            return any(email.last_error for email in await mails.emails())

        await mails.eventually(has_error)
        owner.refusals.clear()
        emails = await mails.wait_for_status("sent", 2)

    assert {email.attempts for email in emails} == {1}
    assert {email.last_error for email in emails} == {None, "identity is unavailable"}


@pytest.mark.parametrize(("status", "attempts"), [(409, 1), (404, 3)])
async def test_a_mail_fails_when_its_link_is_refused(
    mails: MailHarness, owner: LinkOwner, status: int, attempts: int
) -> None:
    owner.refusals = [status] * 10
    async with mails.sending(sweeping=True):
        await mails.harness.deliver(notify_command("password_reset"))
        (email,) = await mails.wait_for_status("failed")

    assert (email.attempts, email.last_error) == (attempts, "identity: refused")
    assert mails.catcher.list() == []


async def test_the_migration_removes_secrets_from_rows_and_dead_letters(mails: MailHarness) -> None:
    facts = {"name": "Ada", "link": "https://a.example/?token=canary", "token": "canary"}
    notice = notify_command(facts=facts)
    await mails.harness.deliver(notice)
    await mails.harness.sql(
        "update email_messages set payload = cast(:facts as jsonb)", facts=json.dumps(facts)
    )
    for digest, body in (("a", notice.encode()), ("b", b"\xff canary"), ("c", b"[]")):
        await mails.harness.sql(ADD_DEAD_LETTER, id=new_id(), digest=digest.encode(), body=body)

    await mails.harness.run_revision("0003")

    (email,) = await mails.emails()
    assert email.payload == {"name": "Ada"}
    dead_letters = await mails.harness.sql("select body from dead_letters order by digest")
    assert type(notice).decode(bytes(dead_letters[0].body)).facts == {"name": "Ada"}
    assert [bytes(body.body) for body in dead_letters[1:]] == [b"\xff canary", b"[]"]
