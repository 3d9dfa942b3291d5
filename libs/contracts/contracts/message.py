"""What every message is: an immutable fact or order with type name, version and routing key."""

from datetime import datetime
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PrivateAttr

SUITE = "cartwright"
Kind = Literal["event", "command", "snapshot"]


class Part(BaseModel):
    """A value inside a message; immutable, and strict about what its producer puts in."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Message(Part):
    """A class of message; the module it stands in names its owner.

    Producers may not add unknown fields (`extra="forbid"`); consumers ignore them (`decode`).
    Inside a major version only optional fields may be added; anything else is a new class `…V2`.
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
        """The service whose module this class stands in."""
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
        """The key this very message is sent with."""
        return self.routing_key()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a message as a consumer does: unknown fields are ignored.

        Raises pydantic's ValidationError when the body is not this message.
        """
        return cls.model_validate_json(body, extra="ignore")

    def encode(self) -> bytes:
        """The `data` bytes, the same wherever the message travels."""
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
        """What it belongs to when nothing before it says so: its order if it names one."""
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
    """A public fact in the past tense, with any number of listeners.

    `aggregate` names the kind of thing it tells of and `subject_field` the field with that thing's
    id. `sequence` counts the events of one aggregate without gaps, starting at 1. An event never
    carries a token, a secret, an e-mail, a name or an address: the log is immutable and read by
    others.
    """

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str]

    @classmethod
    def source(cls) -> str:
        """The CloudEvents source, as in `/orders/order`."""
        return f"/{cls.owner()}/{cls.aggregate}"

    @property
    def sequence(self) -> int:
        """This event's number in its aggregate's life, from 1; 0 when it was never numbered."""
        return self._sequence or 0

    def with_sequence(self, sequence: int) -> Self:
        """Give the event its place in its aggregate's history."""
        self._sequence = sequence
        return self

    def numbered(self, sequence: int) -> Self:
        """A former name of `with_sequence`, until no caller is left."""
        return self.with_sequence(sequence)


class Snapshot(Event):
    """The present state of one aggregate, told to one asker: nothing happened, so it is no event.

    `sequence` is that of the aggregate's newest event; whoever knows a newer one ignores it.
    """

    kind: ClassVar[Kind] = "snapshot"

    _reply_to: str = PrivateAttr(default="")

    def addressed_to(self, queue: str, sequence: int) -> Self:
        """Address it to the asker's own queue, with the aggregate's present number."""
        self._reply_to = queue
        return self.with_sequence(sequence)

    def address(self) -> str:
        """The asker's queue; the exchange `snapshots` is direct."""
        return self._reply_to


class Command(Message):
    """An order to one service, from one of its allowed `senders`.

    `operation_id` stays the same over repeats, so a participant answers a repeat with its stored
    outcome. After `expires_at` an action is answered *refused*; a compensation still runs.
    """

    kind: ClassVar[Kind] = "command"
    senders: ClassVar[tuple[str, ...]]

    operation_id: UUID
    expires_at: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether an action ordered by this command may no longer be begun."""
        return self.expires_at is not None and now > self.expires_at
