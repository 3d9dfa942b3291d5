"""One service at work: its server, consumer, relay, background work and sweeps."""

import asyncio
import importlib
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Generic, TypeVar

from chassis import clock, middleware, sweep, tracing
from chassis.background import consume, restart_on_failure
from chassis.messaging.consumer import Consumer
from chassis.per_service import edge_of, use_service
from chassis.server import server_of
from chassis.service import Service
from chassis.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)


class Serving(Generic[S]):
    """A service that is composed; `prepare` and `start` put it to work as `kind`.

    It ends in four steps, which a process takes for all its services together: `give_notice`,
    `finish_work`, `publish_rest` and `close`. Call them as work of the service.

    kind: `api`, `worker` or `all`.
    """

    def __init__(self, service: Service[S], settings: S, kind: str) -> None:
        self.service, self.settings, self._kind = service, settings, kind
        self.running = service.compose(settings)
        self._resources = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._consumer = self._consumer_of() if kind in ("worker", "all") else None
        application = service.application(self.running, self._consumer)
        is_stopping = self.running.stopping.is_set
        wrapped = middleware.wrap(application, settings.max_body_bytes, is_stopping)
        self._server = server_of(edge_of(service.name, wrapped), settings)
        self._serving: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Create what the service needs before its first request or message."""
        self._configure_tracing()
        running = self.running
        self._resources.push_async_callback(running.database.close)
        self._resources.push_async_callback(running.broker.close)
        self._resources.push_async_callback(running.peers.close)
        if self.service.on_start is not None:
            await self.service.on_start(running, self._resources)

    def start(self) -> None:
        """Start every part."""
        running, service, settings = self.running, self.service, self.settings
        self._run(running.relay.run(), "relay")
        self._run(clock.watch(running.database), "clock")
        for work in service.background:
            self._run(restart_on_failure(work, running), work.__name__)
        if self._consumer is not None:
            self._run(consume(self._consumer), "consumer")
            for each in (*service.sweeps_of(running), *service.common_sweeps(settings)):
                self._run(sweep.run(each, running.database, settings.sweep_interval), each.name)
        self._serving = self._run(self._server.serve(), "server")

    async def failure(self) -> BaseException:
        """Wait until a part fails; return its error."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = done.pop()
        return ended.exception() or RuntimeError(f"the {ended.get_name()} ended")

    def give_notice(self) -> None:
        """Turn not ready; requests are still served, and close their connections."""
        self.running.stopping.set()

    async def finish_work(self) -> None:
        """Finish the requests and messages in flight, and accept no others."""
        self._server.stop()
        if self._serving is not None:
            await asyncio.wait([self._serving])
        if self._consumer is not None:
            await self._consumer.drain()

    async def publish_rest(self) -> None:
        """Publish what is committed; what the broker does not take remains in the outbox."""
        if self.running.broker.is_up:
            await self.running.relay.drain()

    async def close(self) -> None:
        """Cancel what is left, and close every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._resources.aclose()

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        with use_service(self.service.name):
            task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        return task

    def _consumer_of(self) -> Consumer:
        settings = self.settings
        return Consumer(
            self.service.bus,
            self.running.database,
            self.running.broker,
            settings.retry_tiers,
            batch_size=settings.batch_size,
            batch_linger=settings.batch_linger,
            max_batch_delay=settings.max_batch_delay,
            delivery_timeout=settings.delivery_timeout,
        )

    def _configure_tracing(self) -> None:
        if endpoint := self.settings.otel_exporter_otlp_endpoint:
            # OpenTelemetry's SDK takes four megabytes, which a process without traces saves.
            otlp, ratio = (
                importlib.import_module("chassis.otlp"),
                self.settings.otel_traces_sampler_arg,
            )
            provider = otlp.provider_of(self.service.name, endpoint, ratio)
            tracing.tracer.set(provider.get_tracer("cartwright.chassis"))
            self._resources.push_async_callback(asyncio.to_thread, otlp.close, provider)
            self._resources.callback(tracing.tracer.set, tracing.UNRECORDED)
