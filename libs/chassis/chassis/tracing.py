"""Traces: spans of requests, messages and calls, sent to a collector where one is named.

Each piece of work has its identity, a W3C traceparent, whether traces are recorded or not; a span
is written down when its work is over. Without a collector nothing is recorded, and OpenTelemetry's
SDK, which takes three megabytes, is not even loaded.
"""

import importlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from chassis import clock, context, logs

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


@dataclass
class _State:
    """Whether and where this process records."""

    endpoint: str | None = None
    service: str = ""
    exporter: Exporter | None = field(default=None, repr=False)

    def open(self) -> Exporter:
        """The exporter, made when the first span needs it."""
        if self.exporter is None:
            otlp = importlib.import_module("chassis.otlp")
            self.exporter = otlp.Otlp(self.endpoint, self.service)
        assert self.exporter is not None  # noqa: S101
        return self.exporter


_state = _State()


def configure(endpoint: str | None, service: str, share: float = 1.0) -> None:
    """Record from now on, `share` of the traces that begin here; None turns it off.

    A trace that began elsewhere is recorded if, and only if, it is marked as sampled.
    """
    _state.endpoint, _state.service, _state.exporter = endpoint, service, None
    context.sample(share if endpoint else 1.0)
    if endpoint and share:
        # Loading it takes a third of a second, which the first request should not wait for.
        _state.open()


def set_exporter(exporter: Exporter | None) -> None:
    """Hand spans to somebody else than a collector; None turns recording off."""
    _state.exporter, _state.endpoint = exporter, "" if exporter else None


def is_on() -> bool:
    """Whether spans are recorded at all."""
    return _state.endpoint is not None


def close(patience: float = 2.0) -> None:
    """Send what was recorded and stop; a collector that is away is waited for so many seconds."""
    if _state.exporter is not None:
        # A daemon, because it tries again and again, and the process is to end all the same.
        closing = threading.Thread(target=_state.exporter.close, daemon=True)
        closing.start()
        closing.join(patience)
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
    """Write down work that is over just now and took so many seconds."""
    if not is_on() or not is_sampled(traceparent):
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
    _state.open().add(span)


def root_span(name: str, within: str | None = None, attributes: Attributes | None = None) -> str:
    """Begin what nobody asked for, such as a deadline; returns its traceparent.

    within: the traceparent of the work that it goes back to, whose trace it then belongs to;
    without one it begins a trace of its own.
    """
    traceparent = context.child_of(within)
    record(name, Kind.INTERNAL, traceparent, within, took=0, attributes=attributes or {})
    return traceparent


# Former names, until no caller is left.
root, send_to = root_span, set_exporter
