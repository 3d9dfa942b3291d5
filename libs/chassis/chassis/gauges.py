"""Gauges that are read from the service's database at each scrape: depths and ages.

Every replica of a service reports the same values, so take the maximum over them, never the sum.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import structlog
from fastapi import FastAPI, Request, Response
from prometheus_client import REGISTRY, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from chassis import metrics
from chassis.db import Database
from chassis.driver import Sql

log = structlog.get_logger()

TIME_LIMIT = 3.0
FAILURES = metrics.Instrument(
    Counter,
    "cartwright_reading_failures",
    "Gauges that could not be read from the database.",
    ["reading"],
)


@dataclass(frozen=True, slots=True)
class DatabaseGauge:
    """A gauge whose samples are the rows of a statement: its `labels`, and `value`.

    every: seconds for which a result is cached, for expensive statements.
    """

    name: str
    help: str
    statement: Sql
    labels: Sequence[str] = ()
    every: float = 0.0


COMMON_GAUGES = (
    DatabaseGauge(
        "cartwright_outbox_messages",
        "Messages committed and not published; parked ones are unroutable.",
        Sql(
            "select state, count(seq) as value from (values ('waiting'), ('parked')) s (state) "
            "left join outbox on (parked_at is not null) = (state = 'parked') group by state"
        ),
        ("state",),
    ),
    DatabaseGauge(
        "cartwright_outbox_oldest_seconds",
        "Age of the oldest message committed and not published.",
        Sql("select coalesce(extract(epoch from now() - min(created_at)), 0) as value from outbox"),
    ),
    DatabaseGauge(
        "cartwright_dead_letters",
        "Dead letters fetched from the queue and not yet redriven or discarded.",
        Sql("select count(*) as value from dead_letters"),
    ),
    DatabaseGauge(
        "cartwright_idempotency_keys_abandoned",
        "Requests whose process crashed and that no client has repeated.",
        Sql(
            "select count(*) as value from idempotency_keys "
            "where state = 'running' and lease_until < now()"
        ),
    ),
)


@dataclass
class DatabaseGauges:
    """Reads the gauges whose cached result has expired."""

    database: Database
    gauges: Sequence[DatabaseGauge]
    _cached: dict[str, tuple[float, GaugeMetricFamily]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for gauge in self.gauges:
            FAILURES.labels(gauge.name)

    async def families(self) -> list[GaugeMetricFamily]:
        """The gauges, without those that fail or take over three seconds, which are counted."""
        found: list[GaugeMetricFamily] = []
        try:
            async with asyncio.timeout(TIME_LIMIT):
                for gauge in self.gauges:
                    found.append(await self._read(gauge))  # noqa: PERF401
        except Exception as error:  # noqa: BLE001
            # During an outage of the database the other metrics must be served still.
            FAILURES.labels(self.gauges[len(found)].name).inc()
            log.warning("database gauges not read", error=repr(error)[:200])
        return found

    async def _read(self, gauge: DatabaseGauge) -> GaugeMetricFamily:
        read_at, family = self._cached.get(gauge.name, (float("-inf"), None))
        if family is not None and time.monotonic() - read_at < gauge.every:
            return family
        family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
        for row in await self.database.fetch(gauge.statement):
            family.add_metric([str(row[label]) for label in gauge.labels], float(row["value"]))
        self._cached[gauge.name] = (time.monotonic(), family)
        return family


@dataclass
class _Families(Collector):
    """Gauges already read, as a collector."""

    found: Sequence[GaugeMetricFamily]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        yield from self.found


def serve(app: FastAPI) -> None:
    """Answer `/metrics` on the service's own port, which the gateway does not route."""

    @app.get("/metrics", include_in_schema=False)
    async def page(request: Request) -> Response:
        state = request.app.state
        metrics.READY.labels().set(not await state.checks())
        metrics.CONNECTIONS.labels("used").set(state.database.pool.in_use)
        metrics.CONNECTIONS_MAX.labels().set(state.database.pool.size)
        read = _Families(await state.gauges.families())
        # The library's own registry holds what is the process's: its memory, its event loop.
        body = generate_latest(REGISTRY) + metrics.page() + generate_latest(read)
        return Response(body, media_type=CONTENT_TYPE_PLAIN_0_0_4)
