"""Context managers around requests, calls and messages, which record metrics and spans.

Span names and attributes follow OpenTelemetry's semantic conventions for HTTP, messaging and
RabbitMQ.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from starlette.types import Scope

from chassis import clock, context, metrics, tracing
from chassis.context import Context
from chassis.messaging.incoming import Delivery
from chassis.tracing import Kind
from contracts.envelope import PREFIX
from contracts.message import Message

RABBITMQ = {"messaging.system": "rabbitmq"}
TRACEPARENT = f"{PREFIX}traceparent"
SERVER_ERROR = 500


def request(scope: Scope, parent: str | None, status: int, took: float) -> None:
    """Record a request that was answered, in its context; `took` is in seconds."""
    if (order := scope.get("path_params", {}).get("order_id")) is not None:
        context.set_correlation_id(str(order))
    metrics.record_request(scope, status, took)
    if not tracing.is_on() or scope["path"] in metrics.PROBE_PATHS:
        return
    now, route, method = context.current(), metrics.route_of(scope), scope["method"]
    attributes = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
        "cartwright.actor": now.actor,
        "cartwright.request_id": now.request_id or "",
        **({"cartwright.order": now.correlation_id} if now.correlation_id else {}),
    }
    failed = f"status {status}" if not 0 < status < SERVER_ERROR else None
    tracing.record(
        f"{method} {route}", Kind.SERVER, now.traceparent, parent,
        took=took, attributes=attributes, error=failed,
    )  # fmt: skip


class _Timed:
    """Measures a block, and calls `_over` with its time in seconds and its error's name."""

    __slots__ = ("_began",)

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._record(time.perf_counter() - self._began, None if kind is None else kind.__name__)

    def _record(self, took: float, error: str | None) -> None:
        raise NotImplementedError


class Call(_Timed):
    """Around an HTTP call, with the traceparent to send. Set `status` to the response's."""

    __slots__ = ("_method", "_parent", "_url", "status", "traceparent")

    def __init__(self, method: str, url: str) -> None:
        self._method, self._url, self.status = method, url, 0
        self._parent = context.current().traceparent
        self.traceparent = context.child_of(self._parent)

    def _record(self, took: float, error: str | None) -> None:
        metrics.record_call(self._url, self._method, self.status, took)
        if not tracing.is_on():
            return
        address = urlsplit(self._url)
        attributes: dict[str, str | int] = {
            "http.request.method": self._method,
            "server.address": address.hostname or "",
            "url.path": address.path,
        }
        if self.status:
            attributes["http.response.status_code"] = self.status
        if error is None and self.status >= SERVER_ERROR:
            error = f"status {self.status}"
        tracing.record(
            self._method, Kind.CLIENT, self.traceparent, self._parent or None,
            took=took, attributes=attributes, error=error,
        )  # fmt: skip


class Sending(_Timed):
    """Around the publishing of an outbox row, with the `headers` to send.

    Its span starts when the message was written, so it includes the wait in the outbox. A row
    without an envelope begins a trace.
    """

    __slots__ = ("_row", "headers")

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row
        self.headers: dict[str, Any] = row["headers"]
        if tracing.is_on():
            own = context.child_of(self.headers.get(TRACEPARENT))
            self.headers = {**self.headers, TRACEPARENT: own}

    def _record(self, took: float, error: str | None) -> None:
        if not tracing.is_on():
            return
        written = self.headers.get(f"{PREFIX}time")
        if written is not None:
            took = max(took, clock.now() - datetime.fromisoformat(written).timestamp())
        destination = f"{self._row['exchange']}:{self._row['routing_key']}"
        attributes = {
            **RABBITMQ,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": destination,
            "messaging.rabbitmq.destination.routing_key": self._row["routing_key"],
            "messaging.message.id": str(self._row["message_id"]),
            "messaging.message.conversation_id": str(self.headers.get(f"{PREFIX}correlationid")),
        }
        tracing.record(
            f"send {destination}", Kind.PRODUCER, self.headers[TRACEPARENT],
            self._row["headers"].get(TRACEPARENT),
            took=took, attributes=attributes, error=error,
        )  # fmt: skip


class Batch(_Timed):
    """Around the transaction of a batch; its span links to those of the messages."""

    __slots__ = ("_deliveries", "_service", "fresh", "traceparent")

    def __init__(self, service: str, deliveries: Sequence[Delivery]) -> None:
        self._service, self._deliveries = service, deliveries
        # The deliveries that the inbox did not know; set by the bus.
        self.fresh: Sequence[Delivery] = ()
        self.traceparent = ""
        if tracing.is_on():
            sampled = any(tracing.is_sampled(each.envelope.traceparent) for each in deliveries)
            self.traceparent = f"{context.new_traceparent()[:-2]}{int(sampled):02d}"

    def _record(self, took: float, error: str | None) -> None:
        if error is None:
            now = clock.now()
            for each in self.fresh:
                metrics.record_processed(each.key, each.envelope, now)
            if len(self.fresh) < len(self._deliveries):
                fresh = {each.envelope.id for each in self.fresh}
                for each in self._deliveries:
                    if each.envelope.id not in fresh:
                        metrics.record_duplicate(each.key)
        if tracing.is_on():
            tracing.record(
                f"process svc.{self._service}", Kind.CONSUMER, self.traceparent, None,
                took=took,
                attributes={
                    **RABBITMQ,
                    "messaging.operation.name": "process",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": f"svc.{self._service}",
                    "messaging.batch.message_count": len(self._deliveries),
                },
                links=[each.envelope.traceparent for each in self._deliveries],
                error=error,
            )  # fmt: skip


class Handling(_Timed):
    """Around a handler of messages of one class; each message gets its own span.

    contexts: the context of each message's work and answers.
    batch: the traceparent of their batch, if any.
    """

    __slots__ = ("_batch", "_contexts", "_run", "_service")

    def __init__(
        self,
        service: str,
        run: Sequence[Delivery],
        contexts: Sequence[Context],
        batch: str = "",
    ) -> None:
        self._service, self._run, self._contexts, self._batch = service, run, contexts, batch

    def _record(self, took: float, error: str | None) -> None:
        kind = type(self._run[0].message)
        metrics.record_handler(kind, took, failed=error is not None)
        if not tracing.is_on():
            return
        links = [self._batch] if self._batch else []
        for delivery, own in zip(self._run, self._contexts, strict=True):
            tracing.record(
                f"process {destination(kind)}:svc.{self._service}", Kind.CONSUMER,
                own.traceparent, delivery.envelope.traceparent,
                took=took,
                attributes={
                    **RABBITMQ,
                    "messaging.operation.name": "process",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": f"{destination(kind)}:svc.{self._service}",
                    "messaging.rabbitmq.destination.routing_key": kind.routing_key(),
                    "messaging.message.id": str(delivery.envelope.id),
                    "messaging.message.conversation_id": delivery.envelope.correlation_id,
                    "cartwright.actor": delivery.envelope.actor,
                },
                links=links,
                error=error,
            )  # fmt: skip


def destination(kind: type[Message]) -> str:
    """Where messages of a class are published, as `<exchange>:<routing key>`."""
    return f"{kind.exchange()}:{kind.routing_key()}"
