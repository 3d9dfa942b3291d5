"""Sweeps: work that time brings, such as deadlines and leases, done until shutdown."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from chassis.db import Database

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sweep:
    """`work(database)` tells how many things it did; while that is not zero it runs on at once.

    `every` is in seconds; None takes the service's `sweep_interval`.
    """

    name: str
    work: Callable[[Database], Awaitable[int | None]]
    every: float | None = None


async def run(sweep: Sweep, database: Database, interval: float) -> None:
    """Run a sweep until cancelled; a failure is logged and the next turn comes."""
    pause = sweep.every or interval
    while True:
        done: int | None = 0
        try:
            done = await sweep.work(database)
        except Exception as error:  # noqa: BLE001
            log.warning("sweep failed", sweep=sweep.name, error=repr(error)[:300])
        if not done:
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311
