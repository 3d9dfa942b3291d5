"""What runs beside requests in a service's process: kept going after faults, out of their way."""

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
    """Leave what the start built out of every later collection, and collect less often.

    Requests and messages free nearly all they make by reference counts alone; with the default
    thresholds the collector walks the whole program again and again for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


async def restart_on_failure(work: Callable[[Running], Awaitable[None]], running: Running) -> None:
    """Run background work, and start it again after a fault."""
    while True:
        try:
            await work(running)
        except Exception as error:  # noqa: BLE001
            log.warning("background work restarts", work=work.__name__, error=repr(error))
            await asyncio.sleep(1)


async def consume(consumer: Consumer) -> None:
    """Consume, and start again after a fault, except when the topology is wrong."""
    while True:
        try:
            await consumer.run()
        except TopologyMismatch:
            raise
        except Exception as error:  # noqa: BLE001
            log.warning("consumer restarts", error=repr(error))
            await asyncio.sleep(1)
