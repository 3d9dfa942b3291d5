"""The types of handlers, inboxes and histories."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.envelope import Envelope

Raw = tuple[Envelope, bytes]
Work = Callable[[Any], Awaitable[None]]

# Called with an event's envelope and its work, to which it passes a transaction of its choice. Does
# the work at most once per `envelope.id`, stored in the same transaction; returns whether it did it
# now. May raise Gap.
Inbox = Callable[[Envelope, Work], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event's envelope, and the transaction that the inbox passed, such as a session.

    replayed: whether it was read from the log or the feed instead of the queue.
    """

    envelope: Envelope
    tx: Any
    replayed: bool = False


class Gap(Exception):
    """Events of an aggregate are missing between `known` and the received one."""

    def __init__(self, envelope: Envelope, known: int) -> None:
        super().__init__(
            f"{envelope.source} {envelope.subject}: {envelope.sequence} came after {known}"
        )
        self.envelope = envelope
        self.known = known


class History(Protocol):
    """A source of missing events: the feed or the log."""

    async def between(self, envelope: Envelope, known: int) -> Sequence[Raw]:
        """The events of the envelope's aggregate after number `known` and before its own."""
