"""Links of mails: requested when the mail is written, in no table, and the same at each repeat."""

import json
from typing import get_args

import pytest

from chassis.ids import new_id
from contracts.notifications import NotificationType
from notifications.domain import LINK_OWNERS

from .owner import LinkOwner
from .shop import Shop, a_notice

KINDS = tuple(LINK_OWNERS)
ADD_LETTER = (
    "insert into dead_letters (id, digest, type, subject, sender, error, error_detail, attempts, "
    "headers, body, size) values (:id, :digest, 'cartwright.notifications.Notify.v1', 's', "
    "'orders', 'E', 'd', 1, '{}', :body, 1)"
)


async def stored(shop: Shop) -> str:
    """Every row of every table in which a mail leaves something."""
    tables = ("email_messages", "notifications", "inbox", "outbox", "dead_letters")
    found = [await shop.harness.sql(f"select {t}::text from {t}") for t in tables]
    return "".join(row[0] for rows in found for row in rows)


async def test_a_link_is_in_the_mail_and_in_no_table(shop: Shop, owner: LinkOwner) -> None:
    facts = {"name": "Ada", "link": "https://old.example/?token=canary", "token": "canary"}
    notices = [a_notice(kind, facts=facts) for kind in KINDS]
    shop.catcher.refuse(1)
    async with shop.sending(sweeping=True):
        await shop.harness.deliver(*notices)
        assert "canary" not in await stored(shop)
        emails = await shop.email_is("sent", len(KINDS))

    assert [email.payload for email in emails] == [{}] * len(KINDS)
    for mail in shop.catcher.list():
        text = shop.catcher.whole(mail["id"])["text"]
        assert owner.link in text
        assert "old.example" not in text
    assert owner.tokens == {"Bearer of notifications"}
    assert set(owner.requested) == {str(notice.reference_id) for notice in notices}
    assert "canary" not in await stored(shop)


async def test_a_mail_without_a_link_asks_nobody(shop: Shop, owner: LinkOwner) -> None:
    others = [kind for kind in get_args(NotificationType) if kind not in LINK_OWNERS]
    async with shop.sending():
        await shop.harness.deliver(*(a_notice(kind) for kind in others))
        await shop.email_is("sent", len(others))
    assert owner.requested == []


async def test_an_owner_that_is_unavailable_costs_no_attempt(shop: Shop, owner: LinkOwner) -> None:
    owner.refusals = [503] * 20
    async with shop.sending(sweeping=True):
        await shop.harness.deliver(a_notice("verification"), a_notice("order_shipped"))
        await shop.email_is("sent")
        (waiting,) = await shop.email_is("pending")
        assert waiting.type == "verification"

        async def is_noted() -> bool:
            return any(email.last_error for email in await shop.emails())

        await shop.until(is_noted)
        owner.refusals.clear()
        emails = await shop.email_is("sent", 2)

    assert {email.attempts for email in emails} == {1}
    assert {email.last_error for email in emails} == {None, "identity is unavailable"}


@pytest.mark.parametrize(("status", "attempts"), [(409, 1), (404, 3)])
async def test_a_mail_whose_link_is_refused_has_failed(
    shop: Shop, owner: LinkOwner, status: int, attempts: int
) -> None:
    owner.refusals = [status] * 10
    async with shop.sending(sweeping=True):
        await shop.harness.deliver(a_notice("password_reset"))
        (email,) = await shop.email_is("failed")

    assert (email.attempts, email.last_error) == (attempts, "identity: refused")
    assert shop.catcher.list() == []


async def test_the_migration_takes_secrets_out_of_rows_and_dead_letters(shop: Shop) -> None:
    facts = {"name": "Ada", "link": "https://a.example/?token=canary", "token": "canary"}
    notice = a_notice(facts=facts)
    await shop.harness.deliver(notice)
    await shop.harness.sql(
        "update email_messages set payload = cast(:facts as jsonb)", facts=json.dumps(facts)
    )
    for digest, body in (("a", notice.encode()), ("b", b"\xff canary"), ("c", b"[]")):
        await shop.harness.sql(ADD_LETTER, id=new_id(), digest=digest.encode(), body=body)

    await shop.harness.run_revision("0003")

    (email,) = await shop.emails()
    assert email.payload == {"name": "Ada"}
    letters = await shop.harness.sql("select body from dead_letters order by digest")
    assert type(notice).decode(bytes(letters[0].body)).facts == {"name": "Ada"}
    assert [bytes(letter.body) for letter in letters[1:]] == [b"\xff canary", b"[]"]
