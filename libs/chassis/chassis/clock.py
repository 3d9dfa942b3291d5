"""The clock of a service: the machine's, corrected to its database's where the two differ.

Deadlines, envelopes and tokens cross machines, whose clocks may differ by hours. Every service
compares its clock with its database's on each new connection and every few seconds, so processes
agree as closely as their databases do.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from chassis import metrics
from chassis.per_service import PerService

log = structlog.get_logger()

TOLERANCE: Final = 0.5
"""Seconds by which clocks may differ without being corrected."""
INTERVAL: Final = 5.0
READ: Final = "select extract(epoch from clock_timestamp())::float8"


class Source(Protocol):
    """A database connection, such as asyncpg's."""

    async def fetchval(self, query: str) -> Any:
        """The value of a statement's only column."""


class Pooled(Protocol):
    """A pool of such connections."""

    def driver(self) -> Any:
        """A connection, as an asynchronous context."""


def machine_time() -> float:
    """This machine's clock, in seconds since 1970."""
    return time.time()  # noqa: TID251 - the one place


@dataclass
class Clock:
    """The machine's clock plus `correction`, in seconds."""

    correction: float = 0.0

    def now(self) -> float:
        """The time, in seconds since 1970."""
        return machine_time() + self.correction

    def compare(self, database_time: float, began: float, ended: float) -> None:
        """Apply a measurement that was requested at `began` and received at `ended`.

        The database read its clock at some time between the two, which bounds the error.
        """
        ahead = database_time - (began + ended) / 2
        noise = TOLERANCE + (ended - began) / 2
        metrics.CLOCK_SKEW.labels().set(-ahead)
        if abs(ahead - self.correction) <= noise:
            return
        self.correction = ahead if abs(ahead) > noise else 0.0
        log.warning("clock corrected to the database's", seconds=round(self.correction, 3))


clocks: Final = PerService(Clock)


def now() -> float:
    """The time, in seconds since 1970."""
    return clocks.get().now()


async def measure(source: Source) -> None:
    """Compare the machine's clock with the database's."""
    began = machine_time()
    found = await source.fetchval(READ)
    clocks.get().compare(found, began, machine_time())


async def watch(database: Pooled) -> None:
    """Measure every few seconds until cancelled: a machine's clock may be set while it runs."""
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            async with database.driver() as connection:
                await measure(connection)
        except Exception as error:  # noqa: BLE001
            log.info("clock not compared", error=repr(error)[:200])
