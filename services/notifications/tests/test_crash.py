"""A worker killed between sending and recording sends the mail again, unchanged."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import notifications
from testkit.processes import free_port

from .link_owner import LinkOwner
from .mail_harness import MailHarness, notify_command


@asynccontextmanager
async def worker_process(
    mails: MailHarness, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m notifications worker` without a broker, which still sends due mails."""
    settings = mails.harness.running.settings
    environment = {
        "PORT": str(free_port()),
        "DATABASE_URL": settings.database_url,
        "BROKER_URL": settings.broker_url,
        "JWKS_URL": settings.jwks_url,
        "IDENTITY_URL": settings.identity_url,
        "ORDERS_URL": settings.orders_url,
        "SERVICE_CLIENT_SECRET": settings.service_client_secret,
        "SMTP_HOST": settings.smtp_host,
        "SMTP_PORT": str(settings.smtp_port),
        "SMTP_TIMEOUT": str(settings.smtp_timeout),
        "MAIL_FROM": settings.mail_from,
        "MAIL_BATCH": "1",
        "MAIL_RETRY_TIERS": str(settings.mail_retry_tiers),
        "SWEEP_INTERVAL": "0.05",
        "LOG_LEVEL": "DEBUG",
        "PYTHONPATH": os.pathsep.join([str(Path(notifications.__file__).parents[1]), *sys.path]),
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "notifications", "worker"),
            env=os.environ | environment,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_crash_between_sending_and_recording_resends_under_the_same_message_id(
    mails: MailHarness, owner: LinkOwner, tmp_path: Path
) -> None:
    await mails.delay_recording(3)
    await mails.harness.deliver(notify_command("verification"))
    async with worker_process(mails, tmp_path / "log") as process:
        await mails.eventually(mails.has_caught_mail)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await mails.restore_recording_speed()
    (left,) = await mails.emails()
    assert (left.status, left.attempts) == ("processing", 1)

    async with mails.sending(sweeping=True):
        (email,) = await mails.wait_for_status("sent")

    copies = [mails.catcher.get(mail["id"]) for mail in mails.catcher.list()]
    assert len(copies) == 2
    assert {copy["message_id"] for copy in copies} == {mails.message_id(email.id)}
    assert copies[0]["html"] == copies[1]["html"]
    assert owner.link in copies[0]["text"]
    assert dict(copies[0]["headers"])["Date"] == dict(copies[1]["headers"])["Date"]
    assert email.attempts == 2
    assert (await mails.emails())[0].payload == {}


async def test_recipients_and_links_are_never_logged(
    mails: MailHarness, owner: LinkOwner, tmp_path: Path
) -> None:
    mails.catcher.refuse(1)
    log = tmp_path / "log"
    async with worker_process(mails, log) as process:
        await mails.harness.deliver(notify_command("verification"))
        await mails.harness.deliver(
            notify_command("password_reset", recipient="ada@example.com\r\nBcc: x@y.z")
        )
        await mails.wait_for_status("failed")
        await mails.wait_for_status("sent")
        process.terminate()
        assert await process.wait() == 0

    written = log.read_text()
    assert "mail delivery failed" in written
    assert "mail delivery deferred" in written
    assert owner.requested
    assert owner.secret not in written
    assert "ada@example.com" not in written
