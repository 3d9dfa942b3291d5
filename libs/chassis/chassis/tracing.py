"""Spans, by OpenTelemetry's API; its SDK is loaded, by `otlp`, only where a collector is named.

Each service of a process has a tracer, whose resource names it; so no provider is global.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from chassis import clock, logs
from chassis.context import remote_span
from chassis.per_service import PerService

Attributes = Mapping[str, str | int]
NANOSECONDS: Final = 10**9


class UnrecordedTracer(NoOpTracer):
    """Passes a caller's trace on unchanged, and gives other work a trace id for logs and messages.

    A sampled trace stays marked as sampled, for systems that record their part of it.
    """

    def start_span(self, name: str, context: Context | None = None, *_: Any, **__: Any) -> Span:
        """The parent's span, or one of a new trace that is not sampled."""
        parent = get_current_span(context)
        if parent.get_span_context().is_valid:
            return parent
        ids = random.getrandbits(128), random.getrandbits(64)
        return NonRecordingSpan(SpanContext(*ids, is_remote=False))


UNRECORDED: Final = UnrecordedTracer()
tracer: Final = PerService[Tracer](lambda: UNRECORDED)


def is_on() -> bool:
    """Whether spans of sampled traces are recorded."""
    return tracer.get() is not UNRECORDED


def start(
    name: str,
    kind: SpanKind,
    parent: Span,
    *,
    links: Sequence[Link] = (),
    began: float | None = None,
) -> Span:
    """Start a span; an invalid parent begins a trace.

    began: in seconds since 1970, by default now.
    """
    start_time = int((began or clock.now()) * NANOSECONDS)
    within = set_span_in_context(parent)
    return tracer.get().start_span(name, within, kind, links=links, start_time=start_time)


def describe(span: Span, attributes: Attributes) -> None:
    """Set attributes of a span that is recorded, with their secrets redacted."""
    for key, value in attributes.items():
        span.set_attribute(key, _redacted(value) if isinstance(value, str) else value)


@contextmanager
def ending(*spans: Span) -> Iterator[None]:
    """End spans after a block; an error marks them by its class: its text may hold anything."""
    try:
        yield
    except BaseException as error:
        for span in spans:
            span.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        for span in spans:
            span.end(int(clock.now() * NANOSECONDS))


# Most values come again and again, and redaction costs more than the rest of a span.
_redacted = lru_cache(4096)(logs.redact_text)


def root_span(name: str, within: str | None = None, attributes: Attributes | None = None) -> Span:
    """Record the start of work that no request or message caused, such as a deadline.

    within: the traceparent of the work that it goes back to, whose trace it then belongs to;
    without one it begins a trace of its own.
    """
    span = start(name, SpanKind.INTERNAL, remote_span(within))
    with ending(span):
        describe(span, attributes or {})
    return span
