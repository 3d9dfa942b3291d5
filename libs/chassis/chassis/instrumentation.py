"""What is measured of requests, calls and messages: metrics and spans.

Span names and attributes follow OpenTelemetry's semantic conventions for HTTP, messaging and
RabbitMQ.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode
from starlette.types import Scope

from chassis import clock, context, metrics, tracing
from chassis.context import Context, remote_span, traceparent_of
from chassis.messaging.incoming import Delivery
from contracts.envelope import PREFIX
from contracts.message import Message

SEND = {
    "messaging.system": "rabbitmq",
    "messaging.operation.name": "send",
    "messaging.operation.type": "send",
}
PROCESS = {
    "messaging.system": "rabbitmq",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
}
TRACEPARENT = f"{PREFIX}traceparent"
SERVER_ERROR = 500


def request(scope: Scope, status: int, took: float) -> None:
    """Record a request that was answered, in its context; `took` is in seconds."""
    if (order := scope.get("path_params", {}).get("order_id")) is not None:
        context.set_correlation_id(str(order))
    metrics.record_request(scope, status, took)
    now = context.current()
    # The span of a probe is not ended, and therefore not exported.
    if not now.span.is_recording() or scope["path"] in metrics.PROBE_PATHS:
        return
    route, method = metrics.route_of(scope), scope["method"]
    now.span.update_name(f"{method} {route}")
    attributes = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
        "cartwright.actor": now.actor,
        "cartwright.request_id": now.request_id or "",
        **({"cartwright.order": now.correlation_id} if now.correlation_id else {}),
    }
    with tracing.ending(now.span):
        tracing.describe(now.span, attributes)
        if not 0 < status < SERVER_ERROR:
            now.span.set_status(StatusCode.ERROR, f"status {status}")


@dataclass(slots=True)
class Call:
    """An HTTP call: the traceparent to send, and the status of its response, 0 without one."""

    traceparent: str
    status: int = 0


@contextmanager
def calling(method: str, url: str) -> Iterator[Call]:
    """Measure an HTTP call, whose status the block sets."""
    span = tracing.start(method, SpanKind.CLIENT, context.current().span)
    if span.is_recording():
        address = urlsplit(url)
        attributes = {
            "http.request.method": method,
            "server.address": address.hostname or "",
            "url.path": address.path,
        }
        tracing.describe(span, attributes)
    call, began = Call(traceparent_of(span)), time.perf_counter()
    try:
        with tracing.ending(span):
            yield call
            span.set_attribute("http.response.status_code", call.status)
            if call.status >= SERVER_ERROR:
                span.set_status(StatusCode.ERROR, f"status {call.status}")
    finally:
        metrics.record_call(url, method, call.status, time.perf_counter() - began)


@contextmanager
def sending(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Measure the publishing of an outbox row, with the headers to send.

    Its span starts when the message was written, so it includes the wait in the outbox. A row
    without an envelope begins a trace.
    """
    headers: dict[str, Any] = row["headers"]
    if not tracing.is_on():
        yield headers
        return
    destination, written = f"{row['exchange']}:{row['routing_key']}", headers.get(f"{PREFIX}time")
    span = tracing.start(
        f"send {destination}",
        SpanKind.PRODUCER,
        remote_span(headers.get(TRACEPARENT)),
        began=written and datetime.fromisoformat(written).timestamp(),
    )
    if span.is_recording():
        attributes = {
            **SEND,
            "messaging.destination.name": destination,
            "messaging.rabbitmq.destination.routing_key": row["routing_key"],
            "messaging.message.id": str(row["message_id"]),
            "messaging.message.conversation_id": str(headers.get(f"{PREFIX}correlationid")),
        }
        tracing.describe(span, attributes)
    with tracing.ending(span):
        yield {**headers, TRACEPARENT: traceparent_of(span)}


@contextmanager
def batch(service: str, deliveries: Sequence[Delivery]) -> Iterator[Span]:
    """Measure the transaction of a batch, whose span links to those that sent the messages.

    It belongs to the trace of the first message whose trace is sampled.
    """
    if not tracing.is_on():
        yield INVALID_SPAN
        return
    senders = [remote_span(each.envelope.traceparent) for each in deliveries]
    span = tracing.start(
        f"process svc.{service}",
        SpanKind.CONSUMER,
        max(senders, key=lambda each: each.get_span_context().trace_flags.sampled),
        links=[Link(each.get_span_context()) for each in senders],
    )
    if span.is_recording():
        attributes: tracing.Attributes = {
            **PROCESS,
            "messaging.destination.name": f"svc.{service}",
            "messaging.batch.message_count": len(deliveries),
        }
        tracing.describe(span, attributes)
    with tracing.ending(span):
        yield span


def record_effects(deliveries: Sequence[Delivery], fresh: Sequence[Delivery]) -> None:
    """Record a committed batch, with the deliveries that its inbox did not know."""
    now = clock.now()
    for each in fresh:
        metrics.record_processed(each.key, each.envelope, now)
    if len(fresh) < len(deliveries):
        known = {each.envelope.id for each in fresh}
        for each in deliveries:
            if each.envelope.id not in known:
                metrics.record_duplicate(each.key)


@contextmanager
def handling(
    service: str, run: Sequence[Delivery], batch: Span = INVALID_SPAN
) -> Iterator[list[Context]]:
    """Measure a handler of messages of one class, with the context of each message's work.

    batch: the span of their batch, if any.
    """
    kind = type(run[0].message)
    contexts = [Context.of(_process_span(service, each, batch), each.envelope) for each in run]
    began, failed = time.perf_counter(), True
    try:
        with tracing.ending(*(each.span for each in contexts)):
            yield contexts
        failed = False
    finally:
        metrics.record_handler(kind, time.perf_counter() - began, failed=failed)


def _process_span(service: str, delivery: Delivery, batch: Span) -> Span:
    kind, envelope = type(delivery.message), delivery.envelope
    span = tracing.start(
        f"process {destination(kind)}:svc.{service}",
        SpanKind.CONSUMER,
        remote_span(envelope.traceparent),
        links=[Link(batch.get_span_context())] if batch.is_recording() else (),
    )
    if span.is_recording():
        attributes = {
            **PROCESS,
            "messaging.destination.name": f"{destination(kind)}:svc.{service}",
            "messaging.rabbitmq.destination.routing_key": kind.routing_key(),
            "messaging.message.id": str(envelope.id),
            "messaging.message.conversation_id": envelope.correlation_id,
            "cartwright.actor": envelope.actor,
        }
        tracing.describe(span, attributes)
    return span


def destination(kind: type[Message]) -> str:
    """Where messages of a class are published, as `<exchange>:<routing key>`."""
    return f"{kind.exchange()}:{kind.routing_key()}"
