"""The caught mails: in memory, newest first, bounded in number and size."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from functools import cached_property
from typing import Final

MAX_MESSAGES: Final = 5_000
MAX_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class CaughtMail:
    """One mail as received; `sender` and `recipients` are those of the SMTP dialogue."""

    id: int
    sender: str
    recipients: tuple[str, ...]
    received_at: datetime
    source: bytes

    @cached_property
    def message(self) -> EmailMessage:
        """The parsed mail."""
        return BytesParser(EmailMessage, policy=default).parsebytes(self.source)

    @property
    def subject(self) -> str:
        """The subject line, empty where there is none."""
        return self._header("subject")

    @property
    def message_id(self) -> str:
        """The Message-ID with its brackets, empty where there is none."""
        return self._header("message-id").strip()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values in the order of the mail, the values undecoded."""
        return [(name, _readable(value)) for name, value in self.message.raw_items()]

    def part(self, subtype: str) -> str | None:
        """The first text part of that subtype (`plain` or `html`), None where there is none."""
        found = self.message.get_body((subtype,))
        if found is None:
            return None
        source = found.get_payload(decode=True)
        if not isinstance(source, bytes):
            return None
        try:
            return source.decode(found.get_content_charset("utf-8"), "replace")
        except LookupError:
            return source.decode("utf-8", "replace")

    def _header(self, name: str) -> str:
        try:
            return _readable(self.message[name] or "")
        except (IndexError, ValueError, LookupError):
            # Python's parser raises on some malformed headers, such as an empty id.
            raw = (value for key, value in self.message.raw_items() if key.lower() == name)
            return _readable(next(raw))


def _readable(header: object) -> str:
    """A header as text; JSON cannot contain bytes that are not UTF-8, so they are replaced."""
    return str(header).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Mailbox:
    """Stores the last 5,000 mails, 64 MiB at most; rejects the next `refuse` mails."""

    def __init__(self) -> None:
        self._caught: deque[CaughtMail] = deque()
        self._bytes = 0
        self._last_id = 0
        self.refuse = 0
        self.refuse_permanently = False

    def catch(
        self, sender: str, recipients: tuple[str, ...], source: bytes, *, now: datetime
    ) -> CaughtMail | None:
        """Store a mail; None if it is one of those to reject."""
        if self.refuse:
            self.refuse -= 1
            return None
        self._last_id += 1
        caught = CaughtMail(self._last_id, sender, recipients, now, source)
        self._caught.appendleft(caught)
        self._bytes += len(source)
        while len(self._caught) > MAX_MESSAGES or self._bytes > MAX_BYTES:
            self._bytes -= len(self._caught.pop().source)
        return caught

    def find(self, mail_id: int) -> CaughtMail | None:
        return next((caught for caught in self._caught if caught.id == mail_id), None)

    def search(
        self, *, to: str | None = None, subject: str | None = None, after: int = 0, limit: int
    ) -> list[CaughtMail]:
        """Newest first: mails to an address, with words in the subject, with a greater id."""
        found: list[CaughtMail] = []
        for caught in self._caught:
            if caught.id <= after or len(found) == limit:
                break
            if to and to.casefold() not in map(str.casefold, caught.recipients):
                continue
            if subject and subject.casefold() not in caught.subject.casefold():
                continue
            found.append(caught)
        return found

    def clear(self) -> None:
        """Delete all mails; ids continue."""
        self._caught.clear()
        self._bytes = 0
