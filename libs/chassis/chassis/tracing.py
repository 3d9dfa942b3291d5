"""Traces: spans of requests, messages and calls, for an exporter such as `chassis.otlp`.

Each piece of work has a W3C traceparent, whether traces are recorded or not; its span is recorded
when the work has ended. Without an exporter nothing is recorded.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chassis import clock, context, logs
from chassis.per_service import PerService

Attributes = Mapping[str, str | int | bool]
SAMPLED = 0x01


class Kind(StrEnum):
    """OpenTelemetry's kinds of span."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


@dataclass(frozen=True, slots=True)
class Span:
    """A finished piece of work. Times in nanoseconds since 1970; `parent` None begins a trace."""

    name: str
    kind: Kind
    traceparent: str
    parent: str | None
    start: int
    end: int
    attributes: Attributes
    links: Sequence[str] = ()
    error: str | None = None


class Exporter(Protocol):
    """Where spans go; `add` must neither wait nor raise."""

    def add(self, span: Span) -> None:
        """Take a span."""

    def close(self) -> None:
        """Send what is left; may take seconds."""


# Where the service records; None while it does not.
_exporters: PerService[Exporter | None] = PerService(lambda: None)


def configure(exporter: Exporter | None, ratio: float = 1.0) -> None:
    """Record from now on, a `ratio` from 0 to 1 of the traces that begin here; None records none.

    A trace that began elsewhere is recorded if, and only if, it is marked as sampled.
    """
    set_exporter(exporter)
    context.set_sampling_ratio(ratio if exporter else 1.0)


def set_exporter(exporter: Exporter | None) -> None:
    """Send spans to this exporter; None turns recording off."""
    _exporters.set(exporter)


def is_on() -> bool:
    """Whether spans are recorded at all."""
    return _exporters.get() is not None


def close(timeout: float = 2.0) -> None:
    """Export what was recorded and stop; waits `timeout` seconds for an unavailable collector."""
    exporter = _exporters.get()
    if exporter is not None:
        # A daemon, because the exporter retries for long and must not keep the process alive.
        closing = threading.Thread(target=exporter.close, daemon=True)
        closing.start()
        closing.join(timeout)
    set_exporter(None)


def is_sampled(traceparent: str) -> bool:
    """Whether the trace is to be recorded."""
    return bool(context.TRACEPARENT.fullmatch(traceparent)) and bool(
        int(traceparent[-2:], 16) & SAMPLED
    )


def record(
    name: str,
    kind: Kind,
    traceparent: str,
    parent: str | None,
    *,
    took: float,
    attributes: Attributes,
    links: Sequence[str] = (),
    error: str | None = None,
) -> None:
    """Record the span of work that has just ended; `took` is in seconds."""
    exporter = _exporters.get()
    if exporter is None or not is_sampled(traceparent):
        return
    end = int(clock.now() * 1e9)
    start = end - int(took * 1e9)
    if parent is not None and not context.TRACEPARENT.fullmatch(parent):
        parent = None
    shown = {
        key: logs.redact_text(value) if isinstance(value, str) else value
        for key, value in attributes.items()
    }
    fault = error and logs.redact_text(error)
    span = Span(name, kind, traceparent, parent, start, end, shown, links, fault)
    exporter.add(span)


def root_span(name: str, within: str | None = None, attributes: Attributes | None = None) -> str:
    """Record the start of work that no request or message caused, such as a deadline.

    within: the traceparent of the work that it goes back to, whose trace it then belongs to;
    without one it begins a trace of its own. Returns its traceparent.
    """
    traceparent = context.child_of(within)
    record(name, Kind.INTERNAL, traceparent, within, took=0, attributes=attributes or {})
    return traceparent
