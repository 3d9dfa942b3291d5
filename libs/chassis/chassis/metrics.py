"""The metrics of a process, with OpenTelemetry's names in Prometheus's form.

Times are in seconds. An observation costs about two microseconds, since label lookups are cached.
`gauges.py` holds the metrics that are read from the database.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from starlette.types import Scope

from contracts.envelope import Envelope
from contracts.message import Message

# The creation times of all series would double the page, and no query uses them.
disable_created_metrics()  # type: ignore[no-untyped-call]

DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBE_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

REQUESTS = Histogram(
    "http_server_request_duration_seconds",
    "Duration of requests, by route template.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=DURATIONS,
)
CALLS = Histogram(
    "http_client_request_duration_seconds",
    "Duration of calls to other systems; status 0 means that no complete response arrived.",
    ["server_address", "http_request_method", "http_response_status_code"],
    buckets=DURATIONS,
)
HANDLING = Histogram(
    "messaging_process_duration_seconds",
    "Duration of message handlers; a batch handler is measured once for each batch.",
    ["message", "outcome"],
    buckets=DURATIONS,
)
AGE = Histogram(
    "cartwright_message_age_seconds",
    "Age of a message when its effect is committed: outbox, broker, queue and handler together.",
    ["message"],
    buckets=(*DURATIONS, 60, 300, 1800),
)
CONSUMED = Counter(
    "messaging_client_consumed_messages",
    "Messages consumed, by outcome: handled, repeated, retried or dead.",
    ["message", "outcome"],
)
COMMITTED = Counter(
    "cartwright_messages_committed",
    "Messages committed to the outbox, by name.",
    ["message"],
)
SENT = Counter("messaging_client_sent_messages", "Messages the broker confirmed.", ["outcome"])
SWEEP_FAILURES = Counter(
    "cartwright_sweep_failures",
    "Failed runs of a sweep and failed items of its batches, without database outages.",
    ["sweep"],
)
STOPPED = Counter(
    "cartwright_consumer_stopped",
    "Interruptions of consuming, by reason.",
    ["reason"],
)
IN_FLIGHT = Gauge(
    "cartwright_delivery_in_flight_seconds",
    "Age of the oldest delivery in flight.",
)
CONNECTIONS = Gauge(
    "db_client_connection_count", "Database connections in use by this process.", ["state"]
)
CONNECTIONS_MAX = Gauge(
    "db_client_connection_max", "Database connections this process may have open."
)
CLOCK_SKEW = Gauge(
    "cartwright_clock_skew_seconds",
    "The machine's clock minus the database's, which the process uses.",
)
SENDER_AHEAD = Gauge(
    "cartwright_sender_clock_ahead_seconds",
    "How far the clock of a sender is ahead, by its newest message.",
    ["sender"],
)
READY = Gauge("cartwright_ready", "Whether the process is ready, as in /readyz.")


def route_of(scope: Scope) -> str:
    """The template of the matched route, else `unmatched`."""
    included = scope.get("fastapi", {}).get("effective_route_context")
    return str(getattr(included or scope.get("route"), "path", "unmatched"))


@cache
def _requests(method: str, route: str, status: int) -> Any:
    return REQUESTS.labels(method, route, str(status))


def record_request(scope: Scope, status: int, took: float) -> None:
    """Record a request; status 0 means that it was not answered."""
    route = route_of(scope)
    if route not in PROBE_PATHS:
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        _requests(method, route, status).observe(took)


@cache
def _calls(server: str, method: str, status: int) -> Any:
    return CALLS.labels(server, method, str(status))


def record_call(url: str, method: str, status: int, took: float) -> None:
    """Record a call to another system."""
    _calls(urlsplit(url).netloc, method, status).observe(took)


@cache
def _handling(kind: type[Message], outcome: str) -> Any:
    return HANDLING.labels(kind.routing_key(), outcome)


def record_handler(kind: type[Message], took: float, *, failed: bool) -> None:
    """Record a handler's run."""
    _handling(kind, "failed" if failed else "ok").observe(took)


@cache
def _consumed(name: str, outcome: str) -> Any:
    return CONSUMED.labels(name, outcome)


@cache
def _sender_ahead(source: str) -> Any:
    """The gauge of the service that a source such as `/orders/order` names."""
    return SENDER_AHEAD.labels(source.split("/")[1])


@cache
def _age(name: str) -> Any:
    return AGE.labels(name)


def record_processed(name: str, envelope: Envelope, now: float) -> None:
    """Record the commit of a message's effect; `now` is in seconds since 1970."""
    _consumed(name, "handled").inc()
    # Clocks of two databases may differ a little.
    age = now - envelope.time.timestamp()
    _age(name).observe(max(age, 0.0))
    _sender_ahead(envelope.source).set(max(-age, 0.0))


def record_duplicate(name: str, count: int = 1) -> None:
    """Record duplicates, which had no effect."""
    _consumed(name, "repeated").inc(count)


def record_failed(name: str, *, final: bool) -> None:
    """Record a failed message, which is retried or, if `final`, became a dead letter."""
    _consumed(name, "dead" if final else "retried").inc()


def record_consumer_stopped(reason: str) -> None:
    """Record that the consumer closed or lost its channel."""
    STOPPED.labels(reason).inc()


def set_in_flight_age(seconds: float) -> None:
    """Set the age of the oldest delivery in flight; 0 without one."""
    IN_FLIGHT.set(seconds)


@cache
def _committed(kind: type[Message]) -> Any:
    return COMMITTED.labels(kind.routing_key())


def record_committed(message: Message) -> None:
    """Record a message that was committed to the outbox."""
    _committed(type(message)).inc()


def record_sent(results: Sequence[object]) -> None:
    """Record a published batch; a result is None for a confirmed message."""
    failed = sum(result is not None for result in results)
    _sent("confirmed").inc(len(results) - failed)
    if failed:
        _sent("failed").inc(failed)


@cache
def _sent(outcome: str) -> Any:
    return SENT.labels(outcome)


def init_counters(kinds: Iterable[type[Message]]) -> None:
    """Initialise the counters of these messages to 0, so that the first failure is an increase."""
    for kind in kinds:
        for outcome in ("handled", "retried", "dead"):
            _consumed(kind.routing_key(), outcome)
    for outcome in ("confirmed", "failed"):
        _sent(outcome)
