"""Mail delivery: workers claim due mails, send them over SMTP and record each outcome."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.client import Peers
from chassis.db import Database, after_commit
from chassis.ids import utcnow
from notifications import store
from notifications.clients import (
    LinkOwnerUnavailable,
    MailLinks,
    SmtpClient,
    SmtpServerUnavailable,
    TemporarilyRejected,
    Undeliverable,
)
from notifications.domain.email import MimeMessage, retry_delay
from notifications.domain.templates import render_email
from notifications.settings import NotificationsSettings
from notifications.store import ClaimedEmail, DeliveryOutcome

log = structlog.get_logger()

IDLE_SECONDS: Final = 5.0


class MailDispatcher:
    """Runs one worker for each SMTP connection; `notify` wakes a worker."""

    def __init__(self, database: Database, settings: NotificationsSettings, peers: Peers) -> None:
        self._database = database
        self._links = MailLinks(peers, settings)
        self._settings = settings
        self._wakeups: asyncio.Queue[None] = asyncio.Queue(maxsize=1)

    def notify(self) -> None:
        """Wake one worker, since mails may be due."""
        with suppress(asyncio.QueueFull):
            self._wakeups.put_nowait(None)

    def notify_after_commit(self, tx: AsyncSession) -> None:
        """Wake one worker once this transaction has committed; not after a rollback."""
        after_commit(tx, self.notify)

    async def run(self) -> None:
        """Send mails until cancelled; a mail being sent then is finished and recorded first."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._settings.smtp_connections):
                worker = MailWorker(self._database, self._settings, self._links)
                workers.create_task(self.run_worker(worker))

    async def run_worker(self, worker: "MailWorker") -> None:
        """Send one batch for each wakeup; an idle worker closes its connection."""
        try:
            while True:
                try:
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._wakeups.get()
                except TimeoutError:
                    await worker.close()
                else:
                    await self._finish_when_cancelled(worker, self._send_due(worker))
        finally:
            await worker.close()

    async def _send_due(self, worker: "MailWorker") -> None:
        try:
            mails = await worker.claim()
            if len(mails) == self._settings.mail_batch and not worker.is_server_unavailable:
                self.notify()
            await worker.send(mails)
        except Exception as error:  # noqa: BLE001
            # Such as an unavailable database: the sweep notifies again, and leases expire.
            log.warning("mail batch failed", error=repr(error)[:300])

    async def _finish_when_cancelled(
        self, worker: "MailWorker", work: Coroutine[Any, Any, None]
    ) -> None:
        """Await `work` even when this task is cancelled; the worker then releases unsent mails."""
        task = asyncio.create_task(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            worker.is_stopping = True
            await task
            raise


class MailWorker:
    """Sends batches over one SMTP connection, outside of any transaction.

    A crash after a mail was sent and before that was recorded leaves the row leased: when the lease
    expires, the mail is sent again, with the same Message-ID and the same bytes.

    is_server_unavailable: the result of the last batch. is_stopping: release claimed mails unsent.
    """

    def __init__(
        self, database: Database, settings: NotificationsSettings, links: MailLinks
    ) -> None:
        self._database = database
        self._links = links
        self._settings = settings
        self._smtp = SmtpClient(settings)
        self.is_server_unavailable = False
        self.is_stopping = False

    async def close(self) -> None:
        """Close the connection; the next mail opens another."""
        await self._smtp.close()

    async def claim(self) -> list[ClaimedEmail]:
        """Lease a batch of due mails."""
        async with self._database.transaction() as tx:
            return await store.claim_emails(tx, self._settings.mail_batch, self._settings.lease)

    async def send(self, mails: Sequence[ClaimedEmail]) -> None:
        """Send a batch and record the outcomes, those of a running write in the next one."""
        self.is_server_unavailable = False
        unrecorded: list[DeliveryOutcome] = []
        recording: asyncio.Task[None] | None = None
        for mail in mails:
            unrecorded.append(self._outcome_without_attempt(mail) or await self._deliver(mail))
            if recording is None or recording.done():
                if recording is not None:
                    await recording
                recording = asyncio.create_task(self._record(unrecorded))
                unrecorded = []
        if recording is not None:
            await recording
        if unrecorded:
            await self._record(unrecorded)

    async def _record(self, outcomes: Sequence[DeliveryOutcome]) -> None:
        await self._database.retry(lambda tx: store.record_outcomes(tx, outcomes))

    def _outcome_without_attempt(self, mail: ClaimedEmail) -> DeliveryOutcome | None:
        """The outcome of a mail that is expired or has to wait; None when it can be sent now."""
        if mail.is_expired:
            error = "expired before it could be sent"
            return DeliveryOutcome(mail, "failed", error=error, clears_payload=True)
        lease_left = (mail.lease_until - utcnow()).total_seconds()
        if self.is_stopping or lease_left < self._settings.max_delivery_seconds:
            return DeliveryOutcome(mail, "pending", retry_after=0, is_attempt=False)
        if self.is_server_unavailable:
            # One mail of a batch detects the outage; the others keep their attempts.
            return self._postpone(mail)
        return None

    async def _deliver(self, mail: ClaimedEmail) -> DeliveryOutcome:
        try:
            link = await self._links.get_facts(mail.type, mail.reference_id)
            await self._smtp.send(mail.recipient, self._encode(mail, link))
        except LinkOwnerUnavailable as error:
            log.warning("link owner unavailable", email_id=mail.id, type=mail.type)
            return self._postpone(mail, error)
        except TemporarilyRejected as error:
            return self._retry_later(mail, error)
        except SmtpServerUnavailable as error:
            self.is_server_unavailable = True
            return self._retry_later(mail, error)
        except Undeliverable as error:
            return self._fail(mail, error)
        except Exception as error:  # noqa: BLE001
            # A mail that cannot be rendered must not block the others.
            return self._fail(mail, error)
        return DeliveryOutcome(mail, "sent")

    def _encode(self, mail: ClaimedEmail, link: dict[str, str]) -> bytes:
        shop = self._settings.shop_name
        body = render_email(mail.type, mail.locale, mail.subject, mail.payload | link, shop)
        message = MimeMessage(
            email_id=mail.id,
            mail_from=self._settings.mail_from,
            recipient=mail.recipient,
            subject=mail.subject,
            locale=mail.locale,
            queued_at=mail.created_at,
        )
        return message.encode(body.text, body.html)

    def _postpone(self, mail: ClaimedEmail, error: Exception | None = None) -> DeliveryOutcome:
        return DeliveryOutcome(
            mail,
            "pending",
            retry_after=self._settings.mail_retry_tiers[0],
            error=str(error) if error else None,
            is_attempt=False,
        )

    def _retry_later(self, mail: ClaimedEmail, error: Exception) -> DeliveryOutcome:
        delay = retry_delay(mail.attempts, self._settings.mail_retry_tiers)
        if delay is None:
            return self._fail(mail, error)
        log.info("mail delivery deferred", email_id=mail.id, type=mail.type, attempts=mail.attempts)
        return DeliveryOutcome(mail, "pending", retry_after=delay, error=str(error))

    def _fail(self, mail: ClaimedEmail, error: Exception) -> DeliveryOutcome:
        # The log must contain neither the recipient nor a fact of the mail.
        name = type(error).__name__
        log.warning("mail delivery failed", email_id=mail.id, type=mail.type, error=name)
        return DeliveryOutcome(mail, "failed", error=str(error) or name)
