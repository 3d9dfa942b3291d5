"""Clients of the mail server, over SMTP, and of the services that own the links in mails."""

import asyncio
from typing import Final
from uuid import UUID

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)
from pydantic import ValidationError

from chassis.client import Peers, PeerUnavailable
from chassis.errors import Problem, Refused
from contracts.notifications import MailLink
from notifications.domain.notification import LINK_OWNERS, Kind, LinkOwner
from notifications.settings import NotificationsSettings

PERMANENT: Final = 500


class Undeliverable(Exception):
    """This mail can never be delivered; no retry."""


class TemporarilyRejected(Exception):
    """This mail was rejected for now; a later attempt may succeed."""


class SmtpServerUnavailable(Exception):
    """The mail server is unreachable, timed out or refused the session: no fault of the mail."""


class LinkOwnerUnavailable(Exception):
    """The owner of the link is unavailable, which does not count as an attempt."""


class SmtpClient:
    """One connection to the mail server, opened by the first mail and reused; not concurrent."""

    def __init__(self, settings: NotificationsSettings) -> None:
        self._settings = settings
        self._smtp: SMTP | None = None

    async def send(self, recipient: str, source: bytes) -> None:
        """Deliver one mail to the server within `smtp_timeout`.

        Raises Undeliverable, TemporarilyRejected or SmtpServerUnavailable; after the last one the
        server may nevertheless have accepted the mail.
        """
        try:
            async with asyncio.timeout(self._settings.smtp_timeout):
                smtp = await self._connect()
                options = [] if recipient.isascii() else ["SMTPUTF8"]
                sender = self._settings.sender_address
                await smtp.sendmail(sender, [recipient], source, mail_options=options)
        except (ValueError, SMTPNotSupported) as error:
            raise Undeliverable(_describe(error)) from error
        except SMTPRecipientsRefused as error:
            permanent = all(refused.code >= PERMANENT for refused in error.recipients)
            raise (Undeliverable if permanent else TemporarilyRejected)(_describe(error)) from error
        except SMTPDataError as error:
            permanent = error.code >= PERMANENT
            raise (Undeliverable if permanent else TemporarilyRejected)(_describe(error)) from error
        except (SMTPException, OSError, TimeoutError) as error:
            self._drop_connection()
            raise SmtpServerUnavailable(_describe(error)) from error
        except BaseException:
            # The state of the SMTP dialogue is unknown.
            self._drop_connection()
            raise

    async def close(self) -> None:
        """End the session with QUIT; the next `send` connects again."""
        smtp, self._smtp = self._smtp, None
        if smtp is None or not smtp.is_connected:
            return
        try:
            async with asyncio.timeout(1):
                await smtp.quit()
        except (SMTPException, OSError, TimeoutError):
            smtp.close()

    async def _connect(self) -> SMTP:
        if self._smtp is None or not self._smtp.is_connected:
            settings = self._settings
            self._smtp = SMTP(
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_username,
                password=settings.smtp_password,
                local_hostname=settings.sender_address.rpartition("@")[2],
                timeout=settings.smtp_timeout,
                use_tls=settings.smtp_security == "tls",
                start_tls={"auto": None, "starttls": True, "tls": False}[settings.smtp_security],
            )
            await self._smtp.connect()
        return self._smtp

    def _drop_connection(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None


def _describe(error: Exception) -> str:
    """The error as text for staff: the server's reply, or the type and message."""
    if isinstance(error, SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"
    return f"{type(error).__name__}: {error}"


class MailLinks:
    """Requests the link of a mail from its owner; no message and no table contains one."""

    def __init__(self, peers: Peers, settings: NotificationsSettings) -> None:
        self._peers = peers
        self._timeout = settings.smtp_timeout
        self._urls: dict[LinkOwner, str] = {
            "identity": settings.identity_url,
            "orders": settings.orders_url,
        }

    async def get_facts(self, kind: Kind, reference_id: UUID) -> dict[str, str]:
        """The facts `link` and `token` of a mail; empty for a type that carries no link.

        Raises Undeliverable when the link is spent, TemporarilyRejected when the owner returns no
        link, and LinkOwnerUnavailable, after `smtp_timeout` seconds at the latest.
        """
        owner = LINK_OWNERS.get(kind)
        if owner is None:
            return {}
        url = f"{self._urls[owner]}/internal/mail-links/{reference_id}"
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._peers.request("POST", url)
            return MailLink.model_validate(response).model_dump(exclude_none=True)
        except (PeerUnavailable, TimeoutError) as error:
            raise LinkOwnerUnavailable(f"{owner} is unavailable") from error
        except Problem as problem:
            is_spent = problem.status == Refused.status
            raise (Undeliverable if is_spent else TemporarilyRejected)(
                f"{owner}: {problem.code}"
            ) from problem
        except ValidationError:
            raise TemporarilyRejected(f"{owner} returned no link") from None
