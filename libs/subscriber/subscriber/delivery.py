"""What a handler is given, and what an inbox is: the place where an event happens only once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.envelope import Envelope

Raw = tuple[Envelope, bytes]
Work = Callable[[Any], Awaitable[None]]

# Called with an event's envelope and the work it causes; the work takes whatever the inbox hands it
# (a database session). Does it at most once per `envelope.id`, remembered in the same transaction,
# and tells whether it did it now. May raise Gap.
Inbox = Callable[[Envelope, Work], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as it is handled. `tx` is what the inbox handed over: a session, or anything.

    replayed: it was read again from the log or the feed, and is not news just now.
    """

    envelope: Envelope
    tx: Any
    replayed: bool = False


class Gap(Exception):
    """Events of an aggregate are missing between `known` and the one that came."""

    def __init__(self, envelope: Envelope, known: int) -> None:
        super().__init__(
            f"{envelope.source} {envelope.subject}: {envelope.sequence} came after {known}"
        )
        self.envelope = envelope
        self.known = known


class History(Protocol):
    """Where missing events of one aggregate are read again: the feed or the log."""

    async def between(self, envelope: Envelope, known: int) -> Sequence[Raw]:
        """The events of the envelope's aggregate after number `known` and before its own."""
