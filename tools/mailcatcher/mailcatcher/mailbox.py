"""The mails that were caught: bounded in number and size, newest first, in memory alone."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from functools import cached_property
from typing import Final

MOST_MESSAGES: Final = 5_000
MOST_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class Caught:
    """One mail as it came in; `sender` and `recipients` are the envelope's, not the headers'."""

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
        """Names and values in the order of the mail, the values as they came."""
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
            # Python's parser stumbles over some headers it calls malformed, such as an empty id.
            raw = (value for key, value in self.message.raw_items() if key.lower() == name)
            return _readable(next(raw))


def _readable(header: object) -> str:
    """A header as text; bytes that are no UTF-8 are marked, for JSON has no place for them."""
    return str(header).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Mailbox:
    """Keeps the last 5,000 mails, or the last 64 MiB of them; refuses as many as it was told to."""

    def __init__(self) -> None:
        self._caught: deque[Caught] = deque()
        self._bytes = 0
        self._last_id = 0
        self.refuse = 0
        self.refuse_for_good = False

    def catch(
        self, sender: str, recipients: tuple[str, ...], source: bytes, *, now: datetime
    ) -> Caught | None:
        """Keep a mail, or return None because it is one of those to refuse."""
        if self.refuse:
            self.refuse -= 1
            return None
        self._last_id += 1
        caught = Caught(self._last_id, sender, recipients, now, source)
        self._caught.appendleft(caught)
        self._bytes += len(source)
        while len(self._caught) > MOST_MESSAGES or self._bytes > MOST_BYTES:
            self._bytes -= len(self._caught.pop().source)
        return caught

    def find(self, mail_id: int) -> Caught | None:
        """Find a mail by its id."""
        return next((caught for caught in self._caught if caught.id == mail_id), None)

    def search(
        self, *, to: str | None = None, subject: str | None = None, after: int = 0, limit: int
    ) -> list[Caught]:
        """Newest first: sent to that address, those words in the subject, caught after that id."""
        found: list[Caught] = []
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
        """Forget every mail; ids go on rising."""
        self._caught.clear()
        self._bytes = 0
