"""The context of a request or message: correlation, cause, actor and trace."""

import random
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from chassis.per_service import PerService
from contracts.envelope import Envelope

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


_sampling_ratios: PerService[float] = PerService(lambda: 1.0)


def set_sampling_ratio(ratio: float) -> None:
    """Mark this ratio of the service's traces that begin here as sampled, from 0 to 1."""
    _sampling_ratios.set(ratio)


def new_traceparent() -> str:
    """A W3C trace context of a new trace, sampled at the ratio of `set_sampling_ratio`."""
    flags = "01" if random.random() < _sampling_ratios.get() else "00"  # noqa: S311
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{flags}"


def child_of(traceparent: str | None) -> str:
    """The traceparent of a child span; of a new trace when the given one is malformed."""
    if traceparent is None or not TRACEPARENT.fullmatch(traceparent):
        return new_traceparent()
    version, trace, _, flags = traceparent.split("-")
    return f"{version}-{trace}-{secrets.token_hex(8)}-{flags}"


def trace_id_of(traceparent: str) -> str | None:
    """The id of the trace, which log lines carry; None for a malformed traceparent."""
    return traceparent.split("-")[1] if TRACEPARENT.fullmatch(traceparent) else None


@dataclass(kw_only=True, slots=True)
class StaffOperation:
    """A change by staff, as the audit trail records it.

    target: the first id in the path; None for an operation that creates something.
    """

    action: str
    target: str | None
    after: dict[str, Any]
    is_recorded: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The context of the current work; the outbox writes it into each message's envelope.

    envelopes: of the messages that are handled in one call, in order.
    operation: the change by staff that the request makes; its transaction writes an audit entry.
    """

    actor: str = "system"
    traceparent: str = ""
    correlation_id: str | None = None
    causation_id: UUID | None = None
    request_id: str | None = None
    envelopes: tuple[Envelope, ...] = ()
    operation: StaffOperation | None = None

    @classmethod
    def of(cls, envelope: Envelope, *others: Envelope) -> "Context":
        """The context in which a message is handled, with the others of its batch, if any."""
        return cls(
            actor=envelope.actor,
            traceparent=child_of(envelope.traceparent),
            correlation_id=envelope.correlation_id,
            causation_id=envelope.id,
            envelopes=(envelope, *others),
        )


SYSTEM = Context()
_current: ContextVar[Context] = ContextVar("context", default=SYSTEM)


def current() -> Context:
    """The context of the current task."""
    return _current.get()


@contextmanager
def use_context(context: Context) -> Iterator[None]:
    """Run a block in a context."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def set_actor(actor: str) -> None:
    """Set the actor, once authenticated."""
    _current.set(replace(_current.get(), actor=actor))


def set_operation(operation: StaffOperation) -> None:
    """Mark the current work as a staff operation."""
    _current.set(replace(_current.get(), operation=operation))


def set_correlation_id(correlation_id: str) -> None:
    """Set the order, or other process, that the work belongs to."""
    _current.set(replace(_current.get(), correlation_id=correlation_id))
