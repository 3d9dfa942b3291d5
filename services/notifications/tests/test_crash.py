"""A sender that dies between sending and recording: the mail goes again, as the same mail."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import notifications

from .owner import LinkOwner
from .shop import Shop, a_notice


@asynccontextmanager
async def sender_process(shop: Shop, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m notifications worker`, its broker away: it sends what is due all the same."""
    settings = shop.harness.running.settings
    environment = {
        "PORT": str(shop.free_port()),
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


async def test_a_crash_between_sending_and_recording_shows_as_one_message_id(
    shop: Shop, owner: LinkOwner, tmp_path: Path
) -> None:
    await shop.slow_down_recording(3)
    await shop.harness.deliver(a_notice("verification"))
    async with sender_process(shop, tmp_path / "log") as process:
        await shop.until(shop.anything_caught)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await shop.record_as_usual()
    (left,) = await shop.emails()
    assert (left.status, left.attempts) == ("processing", 1)

    async with shop.sending(sweeping=True):
        (email,) = await shop.email_is("sent")

    copies = [shop.catcher.whole(mail["id"]) for mail in shop.catcher.list()]
    assert len(copies) == 2
    assert {copy["message_id"] for copy in copies} == {shop.message_id(email.id)}
    assert copies[0]["html"] == copies[1]["html"]
    assert owner.link in copies[0]["text"]
    assert dict(copies[0]["headers"])["Date"] == dict(copies[1]["headers"])["Date"]
    assert email.attempts == 2
    assert (await shop.emails())[0].payload == {}


async def test_what_a_mail_says_is_never_logged(
    shop: Shop, owner: LinkOwner, tmp_path: Path
) -> None:
    shop.catcher.refuse(1)
    log = tmp_path / "log"
    async with sender_process(shop, log) as process:
        await shop.harness.deliver(a_notice("verification"))
        await shop.harness.deliver(
            a_notice("password_reset", recipient="ada@example.com\r\nBcc: x@y.z")
        )
        await shop.email_is("failed")
        await shop.email_is("sent")
        process.terminate()
        assert await process.wait() == 0

    written = log.read_text()
    assert "mail failed" in written
    assert "mail not taken yet" in written
    assert owner.requested
    assert owner.secret not in written
    assert "ada@example.com" not in written
