"""The base classes of messages: events, commands and snapshots, with type name and routing key."""

from datetime import datetime
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PrivateAttr

SUITE = "cartwright"
Kind = Literal["event", "command", "snapshot"]


class Part(BaseModel):
    """A value inside a message; immutable, and without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Message(Part):
    """The base class of all messages; its module names the service that owns it.

    Producers may not add unknown fields (`extra="forbid"`); consumers ignore them (`decode`).
    Within a major version only optional fields may be added; any other change is a new class `…V2`.
    """

    kind: ClassVar[Kind]
    version: ClassVar[int] = 1

    _sequence: int | None = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        is_a_kind = "kind" in cls.__dict__
        if not is_a_kind:
            _register(cls)

    @classmethod
    def owner(cls) -> str:
        """The service that owns this class, by its module."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def type_name(cls) -> str:
        """The CloudEvents type, as in `cartwright.orders.OrderPlaced.v1`."""
        name = cls.__name__.removesuffix(f"V{cls.version}") if cls.version > 1 else cls.__name__
        return f"{SUITE}.{cls.owner()}.{name}.v{cls.version}"

    @classmethod
    def routing_key(cls) -> str:
        """The key on the topic exchange, as in `orders.OrderPlaced`."""
        return f"{cls.owner()}.{cls.__name__}"

    @classmethod
    def exchange(cls) -> str:
        """`events`, `commands` or `snapshots`."""
        return f"{cls.kind}s"

    def address(self) -> str:
        """The routing key that this message is published with."""
        return self.routing_key()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode `data`, ignoring unknown fields.

        Raises pydantic's ValidationError when the body does not match this class.
        """
        return cls.model_validate_json(body, extra="ignore")

    def encode(self) -> bytes:
        """The `data` bytes, identical on every transport."""
        return self.model_dump_json().encode()

    subject_field: ClassVar[str] = "order_id"

    @classmethod
    def source(cls) -> str:
        """The CloudEvents source, as in `/orders`."""
        return f"/{cls.owner()}"

    def subject(self) -> str:
        """The id of the aggregate this message is about."""
        return str(getattr(self, self.subject_field))

    def correlation(self) -> str:
        """The correlation id of a message without a cause: its order, or its subject."""
        return str(getattr(self, "order_id", None) or self.subject())


MESSAGES: dict[str, type[Message]] = {}
"""Every message class that is imported, by its type name; see `contracts.registry`."""


def _register(message: type[Message]) -> None:
    name = message.type_name()
    known = MESSAGES.setdefault(name, message)
    if known.__qualname__ != message.__qualname__:
        raise TypeError(f"{name} is claimed by {known} and by {message}")
    MESSAGES[name] = message


class Event(Message):
    """A public fact in the past tense, with any number of consumers.

    `aggregate` names the type of the aggregate, `subject_field` the field with its id. `sequence`
    numbers the events of one aggregate without gaps, from 1. An event never carries a token, a
    secret, an e-mail address, a name or a postal address: the log is immutable and public.
    """

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str]

    @classmethod
    def source(cls) -> str:
        """The CloudEvents source, as in `/orders/order`."""
        return f"/{cls.owner()}/{cls.aggregate}"

    @property
    def sequence(self) -> int:
        """The event's position in its aggregate's history, from 1; 0 before it is assigned."""
        return self._sequence or 0

    def with_sequence(self, sequence: int) -> Self:
        """Assign the event's position in its aggregate's history; returns the event."""
        self._sequence = sequence
        return self


class Snapshot(Event):
    """The current state of one aggregate, sent on request to one queue.

    `sequence` is that of the aggregate's newest event; a consumer with a newer one ignores it.
    """

    kind: ClassVar[Kind] = "snapshot"

    _reply_to: str = PrivateAttr(default="")

    def addressed_to(self, queue: str, sequence: int) -> Self:
        """Address the snapshot to a queue, with the sequence of the aggregate's newest event."""
        self._reply_to = queue
        return self.with_sequence(sequence)

    def address(self) -> str:
        """The queue of the requester; the exchange `snapshots` is direct."""
        return self._reply_to


class Command(Message):
    """A command to one service, from one of the allowed `senders`.

    `operation_id` is the idempotency key: a participant answers a repeat with its stored outcome.
    After `expires_at` an action is rejected; a compensation still runs.
    """

    kind: ClassVar[Kind] = "command"
    senders: ClassVar[tuple[str, ...]]

    operation_id: UUID
    expires_at: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether it is too late to start the action."""
        return self.expires_at is not None and now > self.expires_at
