"""Mail delivery over a real SMTP server that rejects, stops, hangs and restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from chassis.ids import new_id

from .mail_harness import MailHarness, notify_command


async def test_a_mail_is_sent_as_soon_as_it_is_queued(mails: MailHarness) -> None:
    async with mails.sending():
        await mails.harness.deliver(notify_command())
        (email,) = await mails.wait_for_status("sent")

    (mail,) = mails.catcher.list()
    assert mail["to"] == ["ada@example.com"]
    assert mail["from"] == "shop@cartwright.example"
    assert mail["subject"] == "Your order 2026-000123 is confirmed"
    assert mail["message_id"] == mails.message_id(email.id)
    assert (email.attempts, email.due_at, email.last_error) == (1, None, None)


async def test_a_batch_shares_connections_and_sends_each_mail_once(mails: MailHarness) -> None:
    async with mails.sending():
        await mails.harness.deliver(
            *(notify_command(recipient=f"{n}@example.com") for n in range(20))
        )
        emails = await mails.wait_for_status("sent", 20)

    caught = mails.catcher.list()
    assert sorted(mail["message_id"] for mail in caught) == sorted(
        mails.message_id(email.id) for email in emails
    )
    assert {email.attempts for email in emails} == {1}


async def test_two_processes_do_not_send_the_same_mail(mails: MailHarness) -> None:
    await mails.harness.deliver(*(notify_command(recipient=f"{n}@example.com") for n in range(20)))
    async with mails.sending(sweeping=True), mails.sending_in_second_process():
        await mails.wait_for_status("sent", 20)

    assert len({mail["message_id"] for mail in mails.catcher.list()}) == 20
    assert len(mails.catcher.list()) == 20


async def test_a_temporarily_rejected_mail_is_retried(mails: MailHarness) -> None:
    mails.catcher.refuse(1)
    async with mails.sending(sweeping=True):
        await mails.harness.deliver(notify_command())
        (email,) = await mails.wait_for_status("sent")

    assert email.attempts == 2
    assert email.last_error.startswith("451")
    assert len(mails.catcher.list()) == 1


async def test_a_mail_fails_after_its_last_retry_until_staff_retry_it(mails: MailHarness) -> None:
    mails.catcher.refuse(100)
    async with mails.sending(sweeping=True):
        await mails.harness.deliver(notify_command())
        (email,) = await mails.wait_for_status("failed")
        assert (email.attempts, email.due_at) == (3, None)
        assert email.payload["name"] == "Ada Lovelace"

        mails.catcher.refuse(0)
        staff = mails.harness.signed_in(permissions=("notifications:write",))
        url = f"/v1/admin/emails/{email.id}/retry"
        answer = await mails.harness.client.post(url, headers=staff)
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        (sent,) = await mails.wait_for_status("sent")

    assert sent.attempts == 1
    assert [mail["message_id"] for mail in mails.catcher.list()] == [mails.message_id(email.id)]


async def test_a_permanently_rejected_mail_fails_at_once(mails: MailHarness) -> None:
    mails.catcher.refuse(1, permanently=True)
    async with mails.sending():
        await mails.harness.deliver(notify_command())
        (email,) = await mails.wait_for_status("failed")

    assert (email.attempts, email.due_at) == (1, None)
    assert email.last_error.startswith("550")


async def test_an_invalid_address_fails_at_once_and_blocks_no_other_mail(
    mails: MailHarness,
) -> None:
    injected = "ada@example.com\r\nBcc: eve@example.com"
    bad = [
        notify_command(recipient=each) for each in (injected, "a b@example.com", "", "@", "\u202e@")
    ]
    async with mails.sending():
        await mails.harness.deliver(*bad, notify_command())
        failed = await mails.wait_for_status("failed", len(bad))
        await mails.wait_for_status("sent")

    assert {email.attempts for email in failed} == {1}
    assert all(email.last_error for email in failed)
    assert [mail["to"] for mail in mails.catcher.list()] == [["ada@example.com"]]


async def test_an_outage_of_the_mail_server_costs_one_mail_of_a_batch_an_attempt(
    mails: MailHarness,
) -> None:
    mails.catcher.stop()
    async with mails.sending_in_second_process(mail_retry_tiers=[60.0, 60.0]):
        await mails.harness.deliver(*(notify_command() for _ in range(3)))
        waiting = await mails.eventually(mails.list_postponed)
        assert sorted(email.attempts for email in waiting) == [0, 0, 1]

        mails.catcher.start()
        await mails.make_pending_due()
        await mails.wait_for_status("sent", 3)

    assert len(mails.catcher.list()) == 3


async def test_a_connection_closed_by_the_server_is_reopened(mails: MailHarness) -> None:
    async with mails.sending():
        await mails.harness.deliver(notify_command())
        await mails.wait_for_status("sent")
        mails.catcher.stop()
        mails.catcher.start()
        await mails.harness.deliver(notify_command())
        emails = await mails.wait_for_status("sent", 2)

    assert {email.attempts for email in emails} == {1}


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that accepts connections, never replies and closes none."""
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


async def test_a_mail_to_a_hanging_server_times_out_and_fails(mails: MailHarness) -> None:
    async with silent_server() as port, mails.sending_in_second_process(smtp_port=port):
        await mails.harness.deliver(notify_command())
        await mails.wait_for_status("failed")

    (email,) = await mails.emails()
    assert "Timeout" in email.last_error
    assert email.attempts == 3


async def test_an_expired_mail_is_not_sent_and_its_facts_are_deleted(mails: MailHarness) -> None:
    await mails.harness.deliver(notify_command("verification"))
    await mails.harness.sql("update email_messages set expires_at = now()")
    async with mails.sending(sweeping=True):
        (email,) = await mails.wait_for_status("failed")

    assert (email.payload, email.last_error) == ({}, "expired before it could be sent")
    assert mails.catcher.list() == []


async def test_the_facts_of_failed_mails_are_deleted_once_they_expire(mails: MailHarness) -> None:
    from notifications.main import delete_expired_facts

    await mails.harness.deliver(notify_command(), notify_command())
    await mails.harness.sql("update email_messages set status = 'failed', due_at = null")
    (first, _) = await mails.emails()
    await mails.harness.sql(
        "update email_messages set expires_at = now() - interval '1 second' where id = :id",
        id=first.id,
    )
    await delete_expired_facts(mails.harness.running.database)
    assert [bool(email.payload) for email in await mails.emails()] == [False, True]


async def test_a_mail_is_sent_to_a_non_ascii_address(mails: MailHarness) -> None:
    async with mails.sending():
        await mails.harness.deliver(notify_command(recipient="käthe@example.com"))
        await mails.wait_for_status("sent")
    assert mails.catcher.list(to="käthe@example.com")


async def test_stopping_finishes_the_mail_being_sent(mails: MailHarness) -> None:
    await mails.delay_recording(0.5)
    await mails.harness.deliver(*(notify_command() for _ in range(3)))
    async with mails.sending(sweeping=True):
        await mails.eventually(mails.has_caught_mail)

    emails = await mails.emails()
    sent = [email for email in emails if email.status == "sent"]
    assert len(sent) == len(mails.catcher.list()) >= 1
    assert not [email for email in emails if email.status == "processing"]
    assert {email.attempts for email in emails if email.status == "pending"} <= {0}


async def test_mails_of_a_rolled_back_transaction_are_not_sent(mails: MailHarness) -> None:
    poison = notify_command(recipient="x" * 300)
    async with mails.sending(sweeping=True):
        with pytest.raises(Exception, match="too long"):
            await mails.harness.deliver(notify_command(), poison)
        await mails.harness.deliver(notify_command(reference_id=new_id()))
        await mails.wait_for_status("sent")
    assert len(mails.catcher.list()) == 1
