"""The mailroom: carriers that claim due mails, send them outside any transaction, and record the outcome."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from chassis.db import Database
from chassis.ids import utcnow

from notifications.domain import pause_after
from notifications.letters import compose
from notifications.sending.post import NotTaken, Post, ServerAway, Undeliverable
from notifications.settings import NotificationsSettings
from notifications.store import emails as store
from notifications.store.emails import Claimed, Outcome

log = structlog.get_logger()

KEPT_OPEN: Final = 5.0


class Mailroom:
    """Sends what is due, over a bounded number of connections.

    A crash after the mail went and before that was recorded leaves the row leased: when the lease
    ends the mail goes again, with the same Message-ID and the same bytes.
    """

    def __init__(self, database: Database, settings: NotificationsSettings) -> None:
        self._database = database
        self._settings = settings
        self._bell: asyncio.Queue[None] = asyncio.Queue(maxsize=1)
        self._is_closing = False
        self._is_server_away = False

    def ring(self) -> None:
        """Tell a carrier that there may be mails to send."""
        with suppress(asyncio.QueueFull):
            self._bell.put_nowait(None)

    async def run(self) -> None:
        """Send until cancelled; what is being sent then is sent and recorded first."""
        self._is_closing = False
        async with asyncio.TaskGroup() as carriers:
            for _ in range(self._settings.smtp_connections):
                carriers.create_task(self._carry())

    async def _carry(self) -> None:
        """One carrier: waits for the bell, sends a batch, and closes its connection when idle."""
        post = Post(self._settings)
        try:
            while True:
                try:
                    await asyncio.wait_for(self._bell.get(), KEPT_OPEN)
                except TimeoutError:
                    await post.close()
                    continue
                try:
                    await self._to_its_end(self._send_due(post))
                except Exception as error:  # noqa: BLE001
                    # The database is away, say; the sweep rings again, and leases end by themselves.
                    log.warning("mails not sent", error=repr(error)[:300])
        finally:
            await post.close()

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Finish the mail at hand even when cancelled, and give back those not begun."""
        task = asyncio.create_task(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self._is_closing = True
            await task
            raise

    async def _send_due(self, post: Post) -> None:
        async with self._database.transaction() as tx:
            mails = await store.claim_emails(tx, self._settings.mail_batch, self._settings.lease)
        if len(mails) == self._settings.mail_batch and not self._is_server_away:
            self.ring()
        # What is sent while the last outcomes are written waits for the next write.
        recording: asyncio.Task[None] | None = None
        unrecorded: list[Outcome] = []
        self._is_server_away = False
        for mail in mails:
            unrecorded.append(await self._outcome(post, mail))
            if recording is None or recording.done():
                if recording is not None:
                    await recording
                recording = asyncio.create_task(self._record(unrecorded))
                unrecorded = []
        if recording is not None:
            await recording
        await self._record(unrecorded)

    async def _outcome(self, post: Post, mail: Claimed) -> Outcome:
        """Send one mail and say what became of it."""
        settings = self._settings
        left = (mail.lease_until - utcnow()).total_seconds()
        if self._is_closing or left < settings.smtp_timeout:
            return Outcome(mail, "pending", pause=0, is_unused=True)
        if mail.is_expired:
            return Outcome(mail, "failed", error="expired before it was sent", is_over=True)
        if self._is_server_away:
            # One mail of a batch finds out; the others keep their attempts.
            return Outcome(mail, "pending", pause=settings.mail_retry_tiers[0], is_unused=True)
        try:
            await post.send(mail.recipient, self._written(mail))
        except Undeliverable as error:
            return self._failed(mail, error)
        except NotTaken as error:
            return self._tried(mail, error)
        except ServerAway as error:
            self._is_server_away = True
            return self._tried(mail, error)
        except Exception as error:  # noqa: BLE001
            # A fact or address that no mail can be made of: it must not keep others from going.
            return self._failed(mail, error)
        return Outcome(mail, "sent")

    def _written(self, mail: Claimed) -> bytes:
        return compose(
            email_id=mail.id,
            kind=mail.type,
            locale=mail.locale,
            recipient=mail.recipient,
            subject=mail.subject,
            facts=mail.payload,
            written_at=mail.created_at,
            mail_from=self._settings.mail_from,
            sender=self._settings.sender_address,
            shop=self._settings.shop_name,
        )

    def _tried(self, mail: Claimed, error: Exception) -> Outcome:
        pause = pause_after(mail.attempts, self._settings.mail_retry_tiers)
        if pause is None:
            return self._failed(mail, error)
        log.info("mail not taken", email_id=mail.id, type=mail.type, attempts=mail.attempts)
        return Outcome(mail, "pending", pause=pause, error=str(error))

    def _failed(self, mail: Claimed, error: Exception) -> Outcome:
        # No recipient and no fact of the mail may stand in the log.
        log.warning("mail failed", email_id=mail.id, type=mail.type, error=type(error).__name__)
        return Outcome(mail, "failed", error=str(error)[:500] or type(error).__name__)

    async def _record(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes:
            await self._database.repeat(lambda tx: store.record_outcomes(tx, outcomes))
