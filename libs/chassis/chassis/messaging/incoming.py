"""Decodes what the broker delivers and checks its sender."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aio_pika.abc import AbstractIncomingMessage
from pydantic import ValidationError

from chassis import logs
from chassis.ids import utcnow
from contracts import registry
from contracts.envelope import PREFIX, BadEnvelope, Envelope
from contracts.message import Command, Message

ATTEMPTS = "x-attempts"
SENDER = "x-sender"
FIRST_FAILED = "x-first-failed-at"
LAST_FAILED = "x-last-failed-at"
ERROR = "x-error"
ERROR_DETAIL = "x-error-detail"
DETAIL_LENGTH = 500
BROKER_HEADERS = ("x-death", "x-delivery-count", "x-first-death", "x-last-death")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A decoded message with its envelope."""

    message: Message
    envelope: Envelope

    @property
    def key(self) -> str:
        """The routing key of the message."""
        return self.message.routing_key()


class Undeliverable(Exception):
    """The message can never be handled and becomes a dead letter at once."""


def sender_of(message: AbstractIncomingMessage, service: str) -> str:
    """The sender, as verified by the broker; a retry carries the original sender in a header."""
    if message.user_id == service and SENDER in message.headers:
        return str(message.headers[SENDER])
    return message.user_id or ""


def attempts_of(message: AbstractIncomingMessage) -> int:
    """How often its handling has failed."""
    value = message.headers.get(ATTEMPTS, 0)
    return value if isinstance(value, int) else 0


def declared_key(message: AbstractIncomingMessage) -> str:
    """The routing key of its declared type; `unknown` for a type that is not registered."""
    kind = registry.find(str(message.headers.get(f"{PREFIX}type")))
    return kind.routing_key() if kind is not None else "unknown"


def decode(
    message: AbstractIncomingMessage, service: str, handled: Collection[type[Message]]
) -> Delivery:
    """Decode a message for a service that handles these classes.

    Raises Undeliverable when it cannot be decoded, or its sender may not send it.
    """
    try:
        envelope = Envelope.of(message.headers)
    except BadEnvelope as error:
        raise Undeliverable(f"bad envelope: {error}") from None
    kind = registry.find(envelope.type)
    if kind is None or kind not in handled:
        raise Undeliverable(f"{service} handles no message of type {envelope.type}")
    sender = sender_of(message, service)
    allowed = kind.senders if issubclass(kind, Command) else (kind.owner(),)
    if sender not in allowed:
        raise Undeliverable(f"{sender or 'an unnamed sender'} may not send {envelope.type}")
    try:
        decoded = kind.decode(message.body)
    except ValidationError as error:
        faults = ", ".join(
            ".".join(map(str, fault["loc"])) + ": " + fault["type"] for fault in error.errors()
        )
        raise Undeliverable(f"undecodable {envelope.type}: {faults}"[:DETAIL_LENGTH]) from None
    if envelope.sequence is not None:
        decoded._sequence = envelope.sequence  # noqa: SLF001
    return Delivery(decoded, envelope)


def failure_headers(
    message: AbstractIncomingMessage, error: BaseException, service: str, attempts: int
) -> dict[str, Any]:
    """The headers of a failed message: its own, with the error, the attempts and their times.

    Headers that the broker added are removed: they describe an earlier queue.
    """
    now = utcnow().isoformat()
    first = message.headers.get(FIRST_FAILED)
    detail = str(error) if isinstance(error, Undeliverable) else repr(error)
    return {
        **{
            name: value
            for name, value in message.headers.items()
            if not name.startswith(BROKER_HEADERS)
        },
        ATTEMPTS: attempts,
        SENDER: sender_of(message, service),
        FIRST_FAILED: str(first) if first else now,
        LAST_FAILED: now,
        ERROR: type(error).__name__,
        # A driver's error contains the values that it failed on.
        ERROR_DETAIL: logs.redact_text(detail)[:DETAIL_LENGTH],
    }
