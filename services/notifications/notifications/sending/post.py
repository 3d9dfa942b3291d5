"""The way to the mail server: an SMTP connection, opened when a mail goes and kept for the next."""

import asyncio
from typing import Final

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from notifications.settings import NotificationsSettings

PERMANENT: Final = 500


class Undeliverable(Exception):
    """This mail will not be taken, however often it is tried."""


class NotTaken(Exception):
    """The server would not take this mail just now."""


class ServerAway(Exception):
    """The server cannot be reached, hung, or would have none of us: nothing is said of the mail."""


class Post:
    """One connection to the mail server, for one mail at a time."""

    def __init__(self, settings: NotificationsSettings) -> None:
        self._settings = settings
        self._smtp: SMTP | None = None

    async def send(self, recipient: str, source: bytes) -> None:
        """Hand over one mail.

        Raises Undeliverable, NotTaken or ServerAway; after the last it may have been taken still.
        """
        try:
            async with asyncio.timeout(self._settings.smtp_timeout):
                smtp = await self._connected()
                options = [] if recipient.isascii() else ["SMTPUTF8"]
                sender = self._settings.sender_address
                await smtp.sendmail(sender, [recipient], source, mail_options=options)
        except (ValueError, SMTPNotSupported) as error:
            raise Undeliverable(_described(error)) from error
        except SMTPRecipientsRefused as error:
            permanent = all(refused.code >= PERMANENT for refused in error.recipients)
            raise (Undeliverable if permanent else NotTaken)(_described(error)) from error
        except SMTPDataError as error:
            permanent = error.code >= PERMANENT
            raise (Undeliverable if permanent else NotTaken)(_described(error)) from error
        except (SMTPException, OSError, TimeoutError) as error:
            self._drop()
            raise ServerAway(_described(error)) from error
        except BaseException:
            # What the connection is in the middle of, nobody knows.
            self._drop()
            raise

    async def close(self) -> None:
        """Take leave of the server, if we are connected."""
        smtp, self._smtp = self._smtp, None
        if smtp is None or not smtp.is_connected:
            return
        try:
            async with asyncio.timeout(1):
                await smtp.quit()
        except (SMTPException, OSError, TimeoutError):
            smtp.close()

    async def _connected(self) -> SMTP:
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

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None


def _described(error: Exception) -> str:
    """The error in words, for staff; the server's answer is all it holds."""
    if isinstance(error, SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"
    return f"{type(error).__name__}: {error}"
