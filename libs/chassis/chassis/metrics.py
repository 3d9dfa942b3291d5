"""The metrics of a service, with OpenTelemetry's names in Prometheus's form.

Times are in seconds. An observation costs about two microseconds, since label lookups are cached.
`gauges.py` holds the metrics that are read from the database.
"""

from collections.abc import Hashable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from starlette.types import Scope

from chassis.per_service import PerService
from contracts.envelope import Envelope
from contracts.message import Message

# The creation times of all series would double the page, and no query uses them.
disable_created_metrics()  # type: ignore[no-untyped-call]

Metric = TypeVar("Metric", bound=MetricWrapperBase)

_registries = PerService(CollectorRegistry)
_instruments: "list[Instrument[Any]]" = []


class Instrument(Generic[Metric]):
    """A metric that each service of the process has in a registry of its own."""

    def __init__(
        self,
        kind: type[Metric],
        name: str,
        description: str,
        labels: Sequence[str] = (),
        **options: Any,
    ) -> None:
        make = partial(kind, name, description, labels, **options)
        self.metric = PerService(lambda: make(registry=_registries.get()))
        self._children: PerService[dict[tuple[Hashable, ...], Metric]] = PerService(dict)
        _instruments.append(self)

    def labels(self, *values: Hashable) -> Metric:
        """The current service's series with these values; cached, as the library is slow at it."""
        children = self._children.get()
        child = children.get(values)
        if child is None:
            metric = self.metric.get()
            child = children[values] = metric.labels(*values) if values else metric
        return child


def page() -> bytes:
    """The current service's metrics, in Prometheus's text format."""
    for each in _instruments:
        each.metric.get()
    return generate_latest(_registries.get())


DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBE_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

REQUESTS = Instrument(
    Histogram,
    "http_server_request_duration_seconds",
    "Duration of requests, by route template.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=DURATIONS,
)
CALLS = Instrument(
    Histogram,
    "http_client_request_duration_seconds",
    "Duration of calls to other systems; status 0 means that no complete response arrived.",
    ["server_address", "http_request_method", "http_response_status_code"],
    buckets=DURATIONS,
)
HANDLING = Instrument(
    Histogram,
    "messaging_process_duration_seconds",
    "Duration of message handlers; a batch handler is measured once for each batch.",
    ["message", "outcome"],
    buckets=DURATIONS,
)
AGE = Instrument(
    Histogram,
    "cartwright_message_age_seconds",
    "Age of a message when its effect is committed: outbox, broker, queue and handler together.",
    ["message"],
    buckets=(*DURATIONS, 60, 300, 1800),
)
CONSUMED = Instrument(
    Counter,
    "messaging_client_consumed_messages",
    "Messages consumed, by outcome: handled, repeated, retried or dead.",
    ["message", "outcome"],
)
COMMITTED = Instrument(
    Counter,
    "cartwright_messages_committed",
    "Messages committed to the outbox, by name.",
    ["message"],
)
SENT = Instrument(
    Counter, "messaging_client_sent_messages", "Messages the broker confirmed.", ["outcome"]
)
SWEEP_FAILURES = Instrument(
    Counter,
    "cartwright_sweep_failures",
    "Failed runs of a sweep and failed items of its batches, without database outages.",
    ["sweep"],
)
ROWS_PRUNED = Instrument(
    Counter,
    "cartwright_rows_pruned",
    "Rows deleted because their retention had ended.",
    ["table"],
)
STOPPED = Instrument(
    Counter,
    "cartwright_consumer_stopped",
    "Interruptions of consuming, by reason.",
    ["reason"],
)
IN_FLIGHT = Instrument(
    Gauge,
    "cartwright_delivery_in_flight_seconds",
    "Age of the oldest delivery in flight.",
)
CONNECTIONS = Instrument(
    Gauge, "db_client_connection_count", "Database connections in use by this process.", ["state"]
)
CONNECTIONS_MAX = Instrument(
    Gauge, "db_client_connection_max", "Database connections this process may have open."
)
CLOCK_SKEW = Instrument(
    Gauge,
    "cartwright_clock_skew_seconds",
    "The machine's clock minus the database's, which the process uses.",
)
SENDER_AHEAD = Instrument(
    Gauge,
    "cartwright_sender_clock_ahead_seconds",
    "How far the clock of a sender is ahead, by its newest message.",
    ["sender"],
)
READY = Instrument(Gauge, "cartwright_ready", "Whether the process is ready, as in /readyz.")


def route_of(scope: Scope) -> str:
    """The template of the matched route, else `unmatched`."""
    included = scope.get("fastapi", {}).get("effective_route_context")
    return str(getattr(included or scope.get("route"), "path", "unmatched"))


def record_request(scope: Scope, status: int, took: float) -> None:
    """Record a request; status 0 means that it was not answered."""
    route = route_of(scope)
    if route not in PROBE_PATHS:
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        REQUESTS.labels(method, route, status).observe(took)


def record_call(url: str, method: str, status: int, took: float) -> None:
    """Record a call to another system."""
    CALLS.labels(urlsplit(url).netloc, method, status).observe(took)


def record_handler(kind: type[Message], took: float, *, failed: bool) -> None:
    """Record a handler's run."""
    HANDLING.labels(kind.routing_key(), "failed" if failed else "ok").observe(took)


def record_processed(name: str, envelope: Envelope, now: float) -> None:
    """Record the commit of a message's effect; `now` is in seconds since 1970."""
    CONSUMED.labels(name, "handled").inc()
    # Clocks of two databases may differ a little.
    age = now - envelope.time.timestamp()
    AGE.labels(name).observe(max(age, 0.0))
    SENDER_AHEAD.labels(envelope.source.split("/")[1]).set(max(-age, 0.0))


def record_duplicate(name: str, count: int = 1) -> None:
    """Record duplicates, which had no effect."""
    CONSUMED.labels(name, "repeated").inc(count)


def record_failed(name: str, *, final: bool) -> None:
    """Record a failed message, which is retried or, if `final`, became a dead letter."""
    CONSUMED.labels(name, "dead" if final else "retried").inc()


def record_consumer_stopped(reason: str) -> None:
    """Record that the consumer closed or lost its channel."""
    STOPPED.labels(reason).inc()


def set_in_flight_age(seconds: float) -> None:
    """Set the age of the oldest delivery in flight; 0 without one."""
    IN_FLIGHT.labels().set(seconds)


def record_committed(message: Message) -> None:
    """Record a message that was committed to the outbox."""
    COMMITTED.labels(message.routing_key()).inc()


def record_sent(results: Sequence[object]) -> None:
    """Record a published batch; a result is None for a confirmed message."""
    failed = sum(result is not None for result in results)
    SENT.labels("confirmed").inc(len(results) - failed)
    if failed:
        SENT.labels("failed").inc(failed)


def init_counters(kinds: Iterable[type[Message]]) -> None:
    """Initialise the counters of these messages to 0, so that the first failure is an increase."""
    for kind in kinds:
        for outcome in ("handled", "retried", "dead"):
            CONSUMED.labels(kind.routing_key(), outcome)
    for outcome in ("confirmed", "failed"):
        SENT.labels(outcome)
