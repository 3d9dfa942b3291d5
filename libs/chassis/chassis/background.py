"""Background work of a service: restarted after failures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from chassis.broker import TopologyMismatch
from chassis.messaging.consumer import Consumer

log = structlog.get_logger()

Running = TypeVar("Running")


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
