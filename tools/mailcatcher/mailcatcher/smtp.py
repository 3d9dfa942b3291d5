"""The SMTP side: takes every mail and puts it into the mailbox."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

from mailcatcher.mailbox import Mailbox

_LARGEST_MAIL: Final = 8 * 2**20


class Catching:
    """What aiosmtpd asks for each mail."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(  # noqa: N802  (aiosmtpd looks for this name)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the mail, or refuse it with 451 or 550."""
        content = envelope.content or b""
        source = content.encode() if isinstance(content, str) else content
        recipients = tuple(envelope.rcpt_tos)
        sender = envelope.mail_from or ""
        caught = self._mailbox.catch(sender, recipients, source, now=datetime.now(UTC))
        if caught is None:
            if self._mailbox.refuse_for_good:
                return "550 5.7.1 Told to refuse for good"
            return "451 4.3.0 Told to refuse for now, try again"
        return f"250 2.0.0 Caught as {caught.id}"


async def listen(mailbox: Mailbox, host: str, port: int) -> asyncio.Server:
    """Open the SMTP listener on the running loop."""

    def protocol() -> SMTP:
        return SMTP(
            Catching(mailbox),
            data_size_limit=_LARGEST_MAIL,
            enable_SMTPUTF8=True,
            hostname="mailcatcher",
            ident="Mail catcher",
        )

    return await asyncio.get_running_loop().create_server(protocol, host, port)
