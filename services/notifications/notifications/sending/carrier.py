"""A carrier: claims due mails, sends them outside any transaction and records each outcome."""

import asyncio
from collections.abc import Sequence

import structlog

from chassis.db import Database
from chassis.ids import utcnow
from notifications.domain import pause_after
from notifications.letters import Envelope, write
from notifications.sending.links import LinkOwnerAway, Links
from notifications.sending.post import NotTaken, Post, ServerAway, Undeliverable
from notifications.settings import NotificationsSettings
from notifications.store import emails as store
from notifications.store.emails import Claimed, Outcome

log = structlog.get_logger()


class Carrier:
    """One connection's worth of sending.

    A crash after a mail went and before that was recorded leaves its row leased: when the lease
    ends the mail goes again, with the same Message-ID and the same words.

    is_server_away: what the last batch found. is_leaving: send no more, give back what is claimed.
    """

    def __init__(self, database: Database, settings: NotificationsSettings, links: Links) -> None:
        self._database = database
        self._links = links
        self._settings = settings
        self._post = Post(settings)
        self.is_server_away = False
        self.is_leaving = False

    async def rest(self) -> None:
        """Close the connection; the next mail opens another."""
        await self._post.close()

    async def claim(self) -> list[Claimed]:
        """Take a batch of due mails in hand."""
        async with self._database.transaction() as tx:
            return await store.claim_emails(tx, self._settings.mail_batch, self._settings.lease)

    async def send(self, mails: Sequence[Claimed]) -> None:
        """Send a batch; an outcome is written at once, or next if others are just being written."""
        self.is_server_away = False
        unrecorded: list[Outcome] = []
        recording: asyncio.Task[None] | None = None
        for mail in mails:
            unrecorded.append(self._kept_back(mail) or await self._deliver(mail))
            if recording is None or recording.done():
                if recording is not None:
                    await recording
                recording = asyncio.create_task(self._record(unrecorded))
                unrecorded = []
        if recording is not None:
            await recording
        if unrecorded:
            await self._record(unrecorded)

    async def _record(self, outcomes: Sequence[Outcome]) -> None:
        await self._database.retry(lambda tx: store.record_outcomes(tx, outcomes))

    def _kept_back(self, mail: Claimed) -> Outcome | None:
        """The outcome of a mail that is not to be sent, at least not now."""
        if mail.is_expired:
            return Outcome(mail, "failed", error="expired before it could be sent", is_over=True)
        left = (mail.lease_until - utcnow()).total_seconds()
        if self.is_leaving or left < self._settings.longest_delivery:
            return Outcome(mail, "pending", pause=0, is_unused=True)
        if self.is_server_away:
            # One mail of a batch finds out; the others keep their attempts.
            return self._not_tried(mail)
        return None

    def _not_tried(self, mail: Claimed, error: Exception | None = None) -> Outcome:
        pause = self._settings.mail_retry_tiers[0]
        told = str(error) if error else None
        return Outcome(mail, "pending", pause=pause, error=told, is_unused=True)

    async def _deliver(self, mail: Claimed) -> Outcome:
        try:
            link = await self._links.facts_of(mail.type, mail.reference_id)
            await self._post.send(mail.recipient, self._written(mail, link))
        except LinkOwnerAway as error:
            log.warning("link owner unavailable", email_id=mail.id, type=mail.type)
            return self._not_tried(mail, error)
        except NotTaken as error:
            return self._tried(mail, error)
        except ServerAway as error:
            self.is_server_away = True
            return self._tried(mail, error)
        except Undeliverable as error:
            return self._failed(mail, error)
        except Exception as error:  # noqa: BLE001
            # No mail can be made of these facts; that must not keep the others from going.
            return self._failed(mail, error)
        return Outcome(mail, "sent")

    def _written(self, mail: Claimed, link: dict[str, str]) -> bytes:
        shop = self._settings.shop_name
        letter = write(mail.type, mail.locale, mail.subject, mail.payload | link, shop)
        envelope = Envelope(
            email_id=mail.id,
            mail_from=self._settings.mail_from,
            recipient=mail.recipient,
            subject=mail.subject,
            locale=mail.locale,
            written_at=mail.created_at,
        )
        return envelope.around(letter.text, letter.html)

    def _tried(self, mail: Claimed, error: Exception) -> Outcome:
        pause = pause_after(mail.attempts, self._settings.mail_retry_tiers)
        if pause is None:
            return self._failed(mail, error)
        log.info("mail not taken yet", email_id=mail.id, type=mail.type, attempts=mail.attempts)
        return Outcome(mail, "pending", pause=pause, error=str(error))

    def _failed(self, mail: Claimed, error: Exception) -> Outcome:
        # No recipient and no fact of the mail may stand in the log.
        log.warning("mail failed", email_id=mail.id, type=mail.type, error=type(error).__name__)
        return Outcome(mail, "failed", error=str(error) or type(error).__name__)
