"""The SMTP listener: accepts every mail and stores it in the mailbox."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

from mailcatcher.mailbox import Mailbox

_MAX_MAIL_BYTES: Final = 8 * 2**20


class SmtpHandler:
    """The handler that aiosmtpd calls for each mail."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(  # noqa: N802  (aiosmtpd calls this name)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Store the mail, or reject it with 451 or 550."""
        content = envelope.content or b""
        source = content.encode() if isinstance(content, str) else content
        recipients = tuple(envelope.rcpt_tos)
        sender = envelope.mail_from or ""
        caught = self._mailbox.catch(sender, recipients, source, now=datetime.now(UTC))
        if caught is None:
            if self._mailbox.refuse_permanently:
                return "550 5.7.1 Rejected permanently, as configured"
            return "451 4.3.0 Rejected temporarily, as configured"
        return f"250 2.0.0 Caught as {caught.id}"


async def listen(mailbox: Mailbox, host: str, port: int) -> asyncio.Server:
    """Open the SMTP listener on the running loop."""

    def protocol() -> SMTP:
        return SMTP(
            SmtpHandler(mailbox),
            data_size_limit=_MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            hostname="mailcatcher",
            ident="Mail catcher",
        )

    return await asyncio.get_running_loop().create_server(protocol, host, port)
