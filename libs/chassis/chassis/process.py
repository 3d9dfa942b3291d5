"""A process: its event loop, signals, garbage collection and logs, and the services it runs.

A service that fails is restarted alone, and the others serve on. A service that has the process to
itself ends it: whatever supervises the process starts another.
"""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
import uvloop

from chassis import hugepages, logs, middleware
from chassis.app import answer_restarting
from chassis.per_service import edge_of, use_service
from chassis.server import server_of
from chassis.service import Service
from chassis.serving import Serving
from chassis.watchdog import Watchdog

log = structlog.get_logger()

DRAIN_TIMEOUT: Final = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# The pause before a restart doubles with each failure of the last STABLE_AFTER seconds;
# MAX_FAILURES within FAILURE_WINDOW seconds end the process.
STABLE_AFTER = 300.0
MAX_FAILURES, FAILURE_WINDOW = 3, 60.0


class ServiceFailed(Exception):
    """A service failed too often, or is the process's only one."""


def run(name: str, services: Sequence[tuple[Service[Any], Any]], kind: str = "all") -> int:
    """Serve as `api`, `worker` or `all` until SIGTERM or SIGINT; returns the exit code.

    name: of the process, in the log.
    services: each with its settings.
    """
    levels = logging.getLevelNamesMapping()
    logs.configure(min((each.log_level for _, each in services), key=levels.__getitem__))
    restarts = len(services) > 1
    with use_service(name):
        return uvloop.run(_run([Host(*each, kind, restarts) for each in services]))


@dataclass
class Host:
    """One service of the process, at work or between two attempts."""

    service: Service[Any]
    settings: Any
    kind: str
    restarts: bool
    serving: Serving[Any] | None = None
    _failures: list[float] = field(default_factory=list)

    async def prepare(self) -> Serving[Any]:
        """Compose the service, and create what it needs before it starts."""
        self.serving = Serving(self.service, self.settings, self.kind)
        await self.serving.prepare()
        return self.serving

    async def keep_serving(self) -> None:
        """Serve, and restart after each failure. Raises ServiceFailed."""
        while True:
            try:
                serving = self.serving or await self.prepare()
                serving.start()
                failure = await serving.failure()
            except Exception as error:  # noqa: BLE001
                failure = error
            pause = self._pause_after(failure)
            if self.serving is not None:
                await drain([self.serving])
                self.serving = None
            await self._answer_restarting(pause)

    def _pause_after(self, failure: BaseException) -> float:
        """The seconds to wait before a restart. Raises ServiceFailed."""
        now = time.monotonic()
        self._failures = [each for each in self._failures if now - each < STABLE_AFTER] + [now]
        recent = sum(now - each < FAILURE_WINDOW for each in self._failures)
        if not self.restarts or recent >= MAX_FAILURES:
            raise ServiceFailed(str(failure) or repr(failure)) from failure
        pause = min(FIRST_PAUSE * 2.0 ** (len(self._failures) - 1), LONGEST_PAUSE)
        log.error("service failed, restarting", pause=pause, exc_info=failure)
        return pause

    async def _answer_restarting(self, seconds: float) -> None:
        """Wait for a restart; /readyz and every request are answered with 503."""
        wrapped = middleware.wrap(answer_restarting, self.settings.max_body_bytes)
        server = server_of(edge_of(self.service.name, wrapped), self.settings)
        serving = asyncio.create_task(server.serve())
        try:
            await asyncio.sleep(seconds)
        finally:
            server.stop()
            await asyncio.gather(serving, return_exceptions=True)


async def _run(hosts: Sequence[Host]) -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    hugepages.collapse_later()
    try:
        # No service starts before all of them can.
        if not all(await asyncio.gather(*map(_can_start, hosts))):
            return 1
        freeze_gc()
        with Watchdog(loop):
            return await _serve(hosts, stopping)
    finally:
        await drain([host.serving for host in hosts if host.serving is not None])


async def _can_start(host: Host) -> bool:
    with use_service(host.service.name):
        try:
            await host.prepare()
        except Exception:
            log.exception("the service cannot start")
            return False
    return True


async def _serve(hosts: Sequence[Host], stopping: asyncio.Event) -> int:
    """Serve until a signal stops the process, or a service ends it."""
    tasks = []
    for host in hosts:
        with use_service(host.service.name):
            tasks.append(asyncio.create_task(host.keep_serving(), name=host.service.name))
    stopped = asyncio.create_task(stopping.wait(), name="stop signal")
    await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in (stopped, *tasks):
        task.cancel()
    failed = False
    for host, end in zip(hosts, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if isinstance(end, Exception):
            failed = True
            name = host.service.name
            log.error(
                "stopping because a service failed", failed=name, error=str(end), exc_info=end
            )
    return int(failed)


async def drain(servings: Sequence[Serving[Any]]) -> None:
    """End services together: one notice, then the work in flight, and the relays last.

    What is not finished in time remains in the queue or the outbox.
    """
    for each in servings:
        each.give_notice()
    await asyncio.sleep(max((each.settings.drain_notice for each in servings), default=0))
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT):
            await _of_each(servings, Serving.finish_work)
            await _of_each(servings, Serving.publish_rest)
    except TimeoutError:
        log.warning("drain cut short", seconds=DRAIN_TIMEOUT)
    await _of_each(servings, Serving.close)


async def _of_each(
    servings: Sequence[Serving[Any]], step: Callable[[Serving[Any]], Awaitable[None]]
) -> None:
    """Take one step of all services side by side; a failure leaves the others alone."""

    async def take(serving: Serving[Any]) -> None:
        with use_service(serving.service.name):
            try:
                await step(serving)
            except Exception as error:  # noqa: BLE001
                log.warning("drain cut short", error=repr(error))

    await asyncio.gather(*map(take, servings))


def freeze_gc() -> None:
    """Exclude the objects built at startup from garbage collection, and collect less often.

    Reference counting frees nearly everything that requests and messages allocate; with the default
    thresholds the collector traverses the whole program repeatedly and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
