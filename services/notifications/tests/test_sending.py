"""Mails go once, to a real SMTP server that refuses, dies, hangs and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from chassis.ids import new_id

from .shop import Shop, a_notice


async def test_a_mail_goes_as_soon_as_it_is_ordered(shop: Shop) -> None:
    async with shop.sending():
        await shop.harness.deliver(a_notice())
        (email,) = await shop.email_is("sent")

    (mail,) = shop.catcher.list()
    assert mail["to"] == ["ada@example.com"]
    assert mail["from"] == "shop@cartwright.example"
    assert mail["subject"] == "Your order 2026-000123 is confirmed"
    assert mail["message_id"] == shop.message_id(email.id)
    assert (email.attempts, email.due_at, email.last_error) == (1, None, None)


async def test_many_mails_share_few_connections_and_each_goes_once(shop: Shop) -> None:
    async with shop.sending():
        await shop.harness.deliver(*(a_notice(recipient=f"{n}@example.com") for n in range(20)))
        emails = await shop.email_is("sent", 20)

    mails = shop.catcher.list()
    assert sorted(mail["message_id"] for mail in mails) == sorted(
        shop.message_id(email.id) for email in emails
    )
    assert {email.attempts for email in emails} == {1}


async def test_two_processes_do_not_send_the_same_mail(shop: Shop) -> None:
    await shop.harness.deliver(*(a_notice(recipient=f"{n}@example.com") for n in range(20)))
    async with shop.sending(sweeping=True), shop.sending_elsewhere():
        await shop.email_is("sent", 20)

    assert len({mail["message_id"] for mail in shop.catcher.list()}) == 20
    assert len(shop.catcher.list()) == 20


async def test_a_mail_refused_for_now_is_tried_again(shop: Shop) -> None:
    shop.catcher.refuse(1)
    async with shop.sending(sweeping=True):
        await shop.harness.deliver(a_notice())
        (email,) = await shop.email_is("sent")

    assert email.attempts == 2
    assert email.last_error.startswith("451")
    assert len(shop.catcher.list()) == 1


async def test_a_mail_never_taken_has_failed_until_staff_try_it_again(shop: Shop) -> None:
    shop.catcher.refuse(100)
    async with shop.sending(sweeping=True):
        await shop.harness.deliver(a_notice())
        (email,) = await shop.email_is("failed")
        assert (email.attempts, email.due_at) == (3, None)
        assert email.payload["name"] == "Ada Lovelace"

        shop.catcher.refuse(0)
        staff = shop.harness.signed_in(permissions=("notifications:write",))
        url = f"/v1/admin/emails/{email.id}/retry"
        answer = await shop.harness.client.post(url, headers=staff)
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        (sent,) = await shop.email_is("sent")

    assert sent.attempts == 1
    assert [mail["message_id"] for mail in shop.catcher.list()] == [shop.message_id(email.id)]


async def test_a_mail_refused_for_good_has_failed_at_once(shop: Shop) -> None:
    shop.catcher.refuse(1, for_good=True)
    async with shop.sending():
        await shop.harness.deliver(a_notice())
        (email,) = await shop.email_is("failed")

    assert (email.attempts, email.due_at) == (1, None)
    assert email.last_error.startswith("550")


async def test_an_address_that_is_none_fails_at_once_and_holds_up_nobody(shop: Shop) -> None:
    injected = "ada@example.com\r\nBcc: eve@example.com"
    bad = [a_notice(recipient=each) for each in (injected, "a b@example.com", "", "@", "\u202e@")]
    async with shop.sending():
        await shop.harness.deliver(*bad, a_notice())
        failed = await shop.email_is("failed", len(bad))
        await shop.email_is("sent")

    assert {email.attempts for email in failed} == {1}
    assert all(email.last_error for email in failed)
    assert [mail["to"] for mail in shop.catcher.list()] == [["ada@example.com"]]


async def test_mails_wait_for_a_server_that_is_away_and_one_finds_out(shop: Shop) -> None:
    shop.catcher.stop()
    async with shop.sending_elsewhere(mail_retry_tiers=[60.0, 60.0]):
        await shop.harness.deliver(*(a_notice() for _ in range(3)))
        waiting = await shop.until(shop.all_wait)
        assert sorted(email.attempts for email in waiting) == [0, 0, 1]

        shop.catcher.start()
        await shop.let_time_pass()
        await shop.email_is("sent", 3)

    assert len(shop.catcher.list()) == 3


async def test_a_connection_the_server_closed_is_opened_again(shop: Shop) -> None:
    async with shop.sending():
        await shop.harness.deliver(a_notice())
        await shop.email_is("sent")
        shop.catcher.stop()
        shop.catcher.start()
        await shop.harness.deliver(a_notice())
        emails = await shop.email_is("sent", 2)

    assert {email.attempts for email in emails} == {1}


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that takes connections, says nothing and never ends one by itself."""
    over = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection whose writer is dropped is closed from Python 3.12 on.
        with closing(writer):
            await over.wait()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            over.set()


async def test_a_server_that_hangs_keeps_nothing_waiting_for_ever(shop: Shop) -> None:
    async with silent_server() as port, shop.sending_elsewhere(smtp_port=port):
        await shop.harness.deliver(a_notice())
        await shop.email_is("failed")

    (email,) = await shop.emails()
    assert "Timeout" in email.last_error
    assert email.attempts == 3


async def test_a_mail_that_expired_is_not_sent_and_forgotten(shop: Shop) -> None:
    await shop.harness.deliver(a_notice("verification"))
    await shop.harness.sql("update email_messages set expires_at = now()")
    async with shop.sending(sweeping=True):
        (email,) = await shop.email_is("failed")

    assert (email.payload, email.last_error) == ({}, "expired before it could be sent")
    assert shop.catcher.list() == []


async def test_failed_mails_are_forgotten_when_their_links_are_dead(shop: Shop) -> None:
    from notifications.main import forget_expired_links

    await shop.harness.deliver(a_notice(), a_notice())
    await shop.harness.sql("update email_messages set status = 'failed', due_at = null")
    (first, _) = await shop.emails()
    await shop.harness.sql(
        "update email_messages set expires_at = now() - interval '1 second' where id = :id",
        id=first.id,
    )
    await forget_expired_links(shop.harness.running.database)
    assert [bool(email.payload) for email in await shop.emails()] == [False, True]


async def test_a_mail_goes_to_an_address_that_is_not_ascii(shop: Shop) -> None:
    async with shop.sending():
        await shop.harness.deliver(a_notice(recipient="käthe@example.com"))
        await shop.email_is("sent")
    assert shop.catcher.list(to="käthe@example.com")


async def test_stopping_finishes_the_mail_that_is_on_its_way(shop: Shop) -> None:
    await shop.slow_down_recording(0.5)
    await shop.harness.deliver(*(a_notice() for _ in range(3)))
    async with shop.sending(sweeping=True):
        await shop.until(shop.anything_caught)

    emails = await shop.emails()
    sent = [email for email in emails if email.status == "sent"]
    assert len(sent) == len(shop.catcher.list()) >= 1
    assert not [email for email in emails if email.status == "processing"]
    assert {email.attempts for email in emails if email.status == "pending"} <= {0}


async def test_nothing_is_sent_of_what_was_rolled_back(shop: Shop) -> None:
    poison = a_notice(recipient="x" * 300)
    async with shop.sending(sweeping=True):
        with pytest.raises(Exception, match="too long"):
            await shop.harness.deliver(a_notice(), poison)
        await shop.harness.deliver(a_notice(reference_id=new_id()))
        await shop.email_is("sent")
    assert len(shop.catcher.list()) == 1
