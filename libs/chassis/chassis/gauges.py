"""What metrics read from the service's database when they are asked for: depths and ages.

Every replica of a service reads the same, so take the maximum over them and never the sum.
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
from sqlalchemy import Executable, text

from chassis import metrics
from chassis.db import Database

log = structlog.get_logger()

TIME_LIMIT = 3.0
FAILURES = Counter(
    "cartwright_reading_failures", "Readings of the database that failed.", ["reading"]
)


@dataclass(frozen=True, slots=True)
class DatabaseGauge:
    """A gauge whose samples are the rows of a statement: its `labels`, and `value`.

    every: seconds for which an answer is believed, for statements that look at much.
    """

    name: str
    help: str
    statement: Executable
    labels: Sequence[str] = ()
    every: float = 0.0


COMMON_GAUGES = (
    DatabaseGauge(
        "cartwright_outbox_messages",
        "Messages that were committed and not sent; the parked ones found no queue.",
        text(
            "select state, count(seq) as value from (values ('waiting'), ('parked')) s (state) "
            "left join outbox on (parked_at is not null) = (state = 'parked') group by state"
        ),
        ("state",),
    ),
    DatabaseGauge(
        "cartwright_outbox_oldest_seconds",
        "Age of the oldest message that was committed and not sent.",
        text(
            "select coalesce(extract(epoch from now() - min(created_at)), 0) as value from outbox"
        ),
    ),
    DatabaseGauge(
        "cartwright_dead_letters",
        "Dead letters that were fetched from the queue and wait for a decision.",
        text("select count(*) as value from dead_letters"),
    ),
    DatabaseGauge(
        "cartwright_idempotency_keys_abandoned",
        "Requests whose process ended before them and that nobody has repeated.",
        text(
            "select count(*) as value from idempotency_keys "
            "where state = 'running' and lease_until < now()"
        ),
    ),
)


@dataclass
class DatabaseGauges:
    """Reads what is due; an answer that is still believed is shown again."""

    database: Database
    listed: Sequence[DatabaseGauge]
    _kept: dict[str, tuple[float, GaugeMetricFamily]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for reading in self.listed:
            FAILURES.labels(reading.name)

    async def families(self) -> list[GaugeMetricFamily]:
        """The gauges; what cannot be read in three seconds is absent and counted as a failure."""
        found: list[GaugeMetricFamily] = []
        try:
            async with asyncio.timeout(TIME_LIMIT):
                for reading in self.listed:
                    found.append(await self._read(reading))  # noqa: PERF401
        except Exception as error:  # noqa: BLE001
            # Whoever collects metrics must learn of it from the others, database or not.
            FAILURES.labels(self.listed[len(found)].name).inc()
            log.warning("metrics not read", error=repr(error)[:200])
        return found

    async def _read(self, reading: DatabaseGauge) -> GaugeMetricFamily:
        read_at, family = self._kept.get(reading.name, (float("-inf"), None))
        if family is not None and time.monotonic() - read_at < reading.every:
            return family
        family = GaugeMetricFamily(reading.name, reading.help, labels=reading.labels)
        for row in (await self.database.execute_once(reading.statement)).mappings():
            family.add_metric([str(row[label]) for label in reading.labels], float(row["value"]))
        self._kept[reading.name] = (time.monotonic(), family)
        return family


@dataclass
class _Families(Collector):
    """Gauges that were read already."""

    found: Sequence[GaugeMetricFamily]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        yield from self.found


def serve(app: FastAPI) -> None:
    """Answer `/metrics` on the service's own port, which the gateway does not route."""

    @app.get("/metrics", include_in_schema=False)
    async def page(request: Request) -> Response:
        state = request.app.state
        metrics.READY.set(not await state.checks())
        metrics.CONNECTIONS.labels("used").set(state.database.pool.in_use)
        metrics.CONNECTIONS_MAX.set(state.database.pool.size)
        read = _Families(await state.gauges.families())
        body = generate_latest(REGISTRY) + generate_latest(read)
        return Response(body, media_type=CONTENT_TYPE_PLAIN_0_0_4)
