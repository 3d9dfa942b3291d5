"""The context of a request or message: correlation, cause, actor and span.

Traces cross requests and messages as W3C traceparents, whether their spans are recorded or not:
https://www.w3.org/TR/trace-context
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contracts.envelope import Envelope

TRACEPARENT: Final = "traceparent"
W3C: Final = TraceContextTextMapPropagator()


def remote_span(traceparent: str | None) -> Span:
    """The span that a traceparent names; an invalid one when it is missing or malformed.

    A client's tracestate is ignored: it may hold anything, and spans would export it.
    """
    return get_current_span(W3C.extract({TRACEPARENT: traceparent or ""}))


def traceparent_of(span: Span) -> str:
    """The traceparent of what happens in this span; empty for an invalid one."""
    headers: dict[str, str] = {}
    W3C.inject(headers, set_span_in_context(span))
    return headers.get(TRACEPARENT, "")


def trace_id_of(traceparent: str) -> str | None:
    """The id of the trace, which log lines carry; None for a malformed traceparent."""
    return Context(span=remote_span(traceparent)).trace_id


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
    span: Span = INVALID_SPAN
    correlation_id: str | None = None
    causation_id: UUID | None = None
    request_id: str | None = None
    envelopes: tuple[Envelope, ...] = ()
    operation: StaffOperation | None = None

    @classmethod
    def of(cls, span: Span, envelope: Envelope, *others: Envelope) -> "Context":
        """The context in which a message is handled, with the others of its batch, if any."""
        return cls(
            actor=envelope.actor,
            span=span,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.id,
            envelopes=(envelope, *others),
        )

    @property
    def traceparent(self) -> str:
        """The traceparent of what this work causes; empty when it belongs to no trace."""
        return traceparent_of(self.span)

    @property
    def trace_id(self) -> str | None:
        """The id of its trace; None when it belongs to none."""
        found = self.span.get_span_context()
        return format_trace_id(found.trace_id) if found.is_valid else None


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
