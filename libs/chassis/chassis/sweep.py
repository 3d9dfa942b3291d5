"""Sweeps: periodic work, such as deadlines and leases, until shutdown."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from chassis import metrics
from chassis.db import Database
from chassis.driver_errors import is_outage

log = structlog.get_logger()

Item = TypeVar("Item")

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """`work(database)` returns the number of items done; it is repeated at once until that is zero.

    `every` is in seconds; None takes the service's `sweep_interval`.
    """

    name: str
    work: Callable[[Database], Awaitable[int | None]]
    every: float | None = None


async def run(sweep: Sweep, database: Database, interval: float) -> None:
    """Run a sweep until cancelled; a failure is logged and counted, and the sweep continues."""
    pause = sweep.every or interval
    metrics.SWEEP_FAILURES.labels(sweep.name)
    while True:
        done: int | None = 0
        try:
            done = await sweep.work(database)
        except Exception as error:  # noqa: BLE001
            if not is_outage(error):
                metrics.SWEEP_FAILURES.labels(sweep.name).inc()
            log.warning("sweep failed", sweep=sweep.name, error=repr(error)[:300])
        if not done:
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311


@dataclass(slots=True)
class _Failure:
    """When an item may be retried (monotonic clock), and the pause before, in seconds."""

    until: float
    pause: float


@dataclass(slots=True)
class Batch(Generic[Item]):
    """The items of one sweep, processed so that a faulty item fails alone.

    A failed item is logged, counted and postponed: the sweep's query excludes `postponed()`, so
    that items that always fail cannot fill the batch. The pause doubles with each failure. A
    database outage is not an item's failure: it ends the run.
    """

    name: str
    _failures: dict[Item, _Failure] = field(default_factory=dict)

    def postponed(self) -> list[Item]:
        """The failed items whose pause has not ended."""
        now = time.monotonic()
        # An item that was not retried long after its pause has been resolved otherwise.
        settled = [
            item for item, each in self._failures.items() if each.until + LONGEST_PAUSE < now
        ]
        for item in settled:
            del self._failures[item]
        return [item for item, each in self._failures.items() if each.until > now]

    @contextmanager
    def isolate(self, item: Item) -> Iterator[None]:
        """Contain the failure of one item's work. Raises only a database outage."""
        try:
            yield
        except Exception as error:
            if is_outage(error):
                raise
            self._failed(item, error)
        else:
            self._failures.pop(item, None)

    async def run(
        self, items: Sequence[Item], work: Callable[[Sequence[Item]], Awaitable[int]]
    ) -> int:
        """Process all items in one call of `work`, which is one transaction; else one by one.

        Returns the number of items done, by the results of `work`.
        """
        if not items:
            return 0
        try:
            return await work(items)
        except Exception as error:
            if is_outage(error):
                raise
            log.warning(
                "batch failed, processing items one by one",
                sweep=self.name,
                error=repr(error)[:300],
            )
        done = 0
        for item in items:
            with self.isolate(item):
                done += await work([item])
        return done

    def _failed(self, item: Item, error: Exception) -> None:
        before = self._failures.get(item)
        pause = min(before.pause * 2, LONGEST_PAUSE) if before else FIRST_PAUSE
        self._failures[item] = _Failure(time.monotonic() + pause, pause)
        metrics.SWEEP_FAILURES.labels(self.name).inc()
        log.error("sweep item failed", sweep=self.name, item=str(item), error=repr(error)[:300])
