"""What this process counts and measures, by the names Prometheus and OpenTelemetry agree on.

Times are in seconds. An observation costs about two microseconds; whatever depends on a label is
looked up once and kept. What is read from the database instead stands in `gauges.py`.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from starlette.types import Scope

from contracts.envelope import Envelope
from contracts.message import Message

# The time each series began doubles the page, and nothing here asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBE_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

REQUESTS = Histogram(
    "http_server_request_duration_seconds",
    "Time to answer a request, by its route's template.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=DURATIONS,
)
CALLS = Histogram(
    "http_client_request_duration_seconds",
    "Time until a call to somebody else was answered; status 0 means that no whole answer came.",
    ["server_address", "http_request_method", "http_response_status_code"],
    buckets=DURATIONS,
)
HANDLING = Histogram(
    "messaging_process_duration_seconds",
    "Time in a message's handler; a handler of many is measured once for a whole run of them.",
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
    "Messages taken from the queue, by what became of them: handled, repeated, retried or dead.",
    ["message", "outcome"],
)
COMMITTED = Counter(
    "cartwright_messages_committed",
    "Messages that were committed to the outbox: what happened in the business, by name.",
    ["message"],
)
SENT = Counter("messaging_client_sent_messages", "Messages the broker confirmed.", ["outcome"])
SWEEP_FAILURES = Counter(
    "cartwright_sweep_failures",
    "Turns of a sweep and single items of its batches that failed, outages of the database apart.",
    ["sweep"],
)
STOPPED = Counter(
    "cartwright_consumer_stopped",
    "Times this process stopped consuming and began again, by what was lost or did not end.",
    ["reason"],
)
IN_FLIGHT = Gauge(
    "cartwright_delivery_in_flight_seconds",
    "For how long the oldest delivery in flight has been neither handled nor acknowledged.",
)
CONNECTIONS = Gauge(
    "db_client_connection_count", "Database connections in use by this process.", ["state"]
)
CONNECTIONS_MAX = Gauge(
    "db_client_connection_max", "Database connections this process may have open."
)
CLOCK_SKEW = Gauge(
    "cartwright_clock_skew_seconds",
    "The machine's clock minus the database's; the process itself goes by the database's.",
)
SENDER_AHEAD = Gauge(
    "cartwright_sender_clock_ahead_seconds",
    "By how much the newest message of a sender was written later than it was handled.",
    ["sender"],
)
READY = Gauge("cartwright_ready", "Whether the process can do its work, as in /readyz.")


def route_of(scope: Scope) -> str:
    """The template of the route that answered, `unmatched` where none did."""
    included = scope.get("fastapi", {}).get("effective_route_context")
    return str(getattr(included or scope.get("route"), "path", "unmatched"))


@cache
def _requests(method: str, route: str, status: int) -> Any:
    return REQUESTS.labels(method, route, str(status))


def record_request(scope: Scope, status: int, took: float) -> None:
    """A request was answered; 0 is the status of one that was left without an answer."""
    route = route_of(scope)
    if route not in PROBE_PATHS:
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        _requests(method, route, status).observe(took)


@cache
def _calls(server: str, method: str, status: int) -> Any:
    return CALLS.labels(server, method, str(status))


def record_call(url: str, method: str, status: int, took: float) -> None:
    """A call to somebody else came to its end."""
    _calls(urlsplit(url).netloc, method, status).observe(took)


@cache
def _handling(kind: type[Message], outcome: str) -> Any:
    return HANDLING.labels(kind.routing_key(), outcome)


def record_handler(kind: type[Message], took: float, *, failed: bool) -> None:
    """A handler returned, or raised."""
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
    """A message's effect was committed; `now` in seconds since 1970."""
    _consumed(name, "handled").inc()
    # Clocks of two databases may differ a little.
    age = now - envelope.time.timestamp()
    _age(name).observe(max(age, 0.0))
    _sender_ahead(envelope.source).set(max(-age, 0.0))


def record_duplicate(name: str, count: int = 1) -> None:
    """Messages came again and had no effect."""
    _consumed(name, "repeated").inc(count)


def record_failed(name: str, *, final: bool) -> None:
    """A message will be tried again, or became a dead letter."""
    _consumed(name, "dead" if final else "retried").inc()


def record_consumer_stopped(reason: str) -> None:
    """The consumer closed its channel, or lost it, and will open another."""
    STOPPED.labels(reason).inc()


def set_in_flight_age(seconds: float) -> None:
    """The age of the oldest delivery in flight; 0 without one."""
    IN_FLIGHT.set(seconds)


@cache
def _committed(kind: type[Message]) -> Any:
    return COMMITTED.labels(kind.routing_key())


def record_committed(message: Message) -> None:
    """A message stands in the outbox."""
    _committed(type(message)).inc()


def record_sent(results: Sequence[object]) -> None:
    """A batch was published; each result is None when the broker confirmed it."""
    failed = sum(result is not None for result in results)
    _sent("confirmed").inc(len(results) - failed)
    if failed:
        _sent("failed").inc(failed)


@cache
def _sent(outcome: str) -> Any:
    return SENT.labels(outcome)


def init_counters(kinds: Iterable[type[Message]]) -> None:
    """Begin the counters of these messages at nought: a first failure is then an increase."""
    for kind in kinds:
        for outcome in ("handled", "retried", "dead"):
            _consumed(kind.routing_key(), outcome)
    for outcome in ("confirmed", "failed"):
        _sent(outcome)
