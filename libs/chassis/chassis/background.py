"""Background work of a process: restarted after failures."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from chassis.broker import TopologyMismatch
from chassis.messaging.consumer import Consumer

log = structlog.get_logger()

Running = TypeVar("Running")


def freeze_gc() -> None:
    """Exclude the objects built at startup from garbage collection, and collect less often.

    Reference counting frees nearly everything that requests and messages allocate; with the default
    thresholds the collector traverses the whole program repeatedly and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


async def restart_on_failure(work: Callable[[Running], Awaitable[None]], running: Running) -> None:
    """Run background work, and restart it when it fails."""
    while True:
        try:
            await work(running)
        except Exception as error:  # noqa: BLE001
            log.warning("background work failed, restarting", work=work.__name__, error=repr(error))
            await asyncio.sleep(1)


async def consume(consumer: Consumer) -> None:
    """Consume, and restart after a failure. Raises TopologyMismatch."""
    while True:
        try:
            await consumer.run()
        except TopologyMismatch:
            raise
        except Exception as error:  # noqa: BLE001
            log.warning("consumer failed, restarting", error=repr(error))
            await asyncio.sleep(1)
