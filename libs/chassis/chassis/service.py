"""Composes a service from settings, routes, handlers and sweeps, and runs it."""

import asyncio
import importlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import structlog
import uvloop
from fastapi import APIRouter
from sqlalchemy import MetaData, text

from chassis import app as factory
from chassis import (
    clock,
    crashpoints,
    gauges,
    hugepages,
    idempotency,
    inbox,
    logs,
    metrics,
    middleware,
    revocations,
    sweep,
    tracing,
)
from chassis.background import consume, freeze_gc, restart_on_failure
from chassis.broker import Broker
from chassis.bus import Bus
from chassis.client import Peers, ServiceTokens
from chassis.db import Database
from chassis.gauges import COMMON_GAUGES, DatabaseGauge, DatabaseGauges
from chassis.keys import KeySet
from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from chassis.ops import routes
from chassis.revocations import Revocations
from chassis.server import Server, server_of
from chassis.settings import ServiceSettings
from chassis.sweep import Sweep

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)
CHECK_TIMEOUT = 2.0
DRAIN_TIMEOUT = 15.0


@dataclass
class Running(Generic[S]):
    """The dependencies of a composed service; routes find them in `request.app.state`."""

    settings: S
    database: Database
    broker: Broker
    relay: Relay
    keys: KeySet
    revocations: Revocations
    peers: Peers
    resources: SimpleNamespace
    # Set when the process is to stop; /readyz then fails, so that load balancers move on.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Service(Generic[S]):
    """One bounded context, with everything to run it.

    on_start: called before the first request or message; may fill `resources` and register
    callbacks with the exit stack.
    sweeps: the periodic work, or a function that builds it from the composed service, which passes
    settings and resources to each sweep as arguments.
    gauges: metrics that are read from the database.
    """

    name: str
    settings: type[S]
    metadata: MetaData
    routers: Sequence[APIRouter]
    bus: Bus[S]
    sweeps: Sequence[Sweep] | Callable[[Running[S]], Sequence[Sweep]] = ()
    on_start: Callable[[Running[S], AsyncExitStack], Awaitable[None]] | None = None
    background: Sequence[Callable[[Running[S]], Awaitable[None]]] = field(default_factory=tuple)
    gauges: Sequence[DatabaseGauge] = ()

    def compose(self, settings: S) -> Running[S]:
        """Build the dependencies; each connects on first use."""
        database = Database(
            settings.database_url, pool_size=settings.pool_size, application_name=self.name
        )
        broker = Broker(settings.broker_url, self.name)
        relay = Relay(database, broker, self.name, sweep_interval=settings.sweep_interval)
        database.on_commit = relay.wake
        database.listeners.append(metrics.record_committed)
        metrics.init_counters(self.bus.handled)
        tokens = ServiceTokens(settings.identity_url, self.name, settings.service_client_secret)
        keys = KeySet(settings.jwks_url, settings.token_issuer, settings.token_audience)
        self.bus.settings = settings
        crashpoints.configure(settings.crash_points, self.name)
        return Running(
            settings,
            database,
            broker,
            relay,
            keys,
            Revocations(database),
            Peers(tokens),
            self.bus.resources,
        )

    def application(
        self, running: Running[S], consumer: Consumer | None = None
    ) -> factory.Application:
        """The HTTP application over the dependencies."""

        async def checks() -> dict[str, str]:
            wrong: dict[str, str] = {"process": "stopping"} if running.stopping.is_set() else {}
            try:
                async with asyncio.timeout(CHECK_TIMEOUT):
                    await running.database.execute_once(text("select 1"))
            except Exception as error:  # noqa: BLE001
                wrong["database"] = type(error).__name__
            if consumer is not None and (problem := consumer.problem()):
                wrong["broker"] = problem
            return wrong

        read = DatabaseGauges(running.database, [*COMMON_GAUGES, *self.gauges])
        return self._routed.with_state(
            {**vars(running), "bus": self.bus, "checks": checks, "gauges": read}
        )

    def document(self) -> dict[str, Any]:
        """The OpenAPI document of the routes, without any dependency."""
        return self._routed.openapi()

    @cached_property
    def _routed(self) -> factory.Application:
        app = factory.create_app(self.name, [*self.routers, routes.router_of(self.name)])
        gauges.serve(app)
        return app

    def run(self, settings: S, kind: str) -> int:
        """Serve as `api`, `worker` or `all` until SIGTERM or SIGINT; returns the exit code."""
        logs.configure(self.name, settings.log_level)
        return uvloop.run(self._run(settings, kind))

    async def _run(self, settings: S, kind: str) -> int:
        running = self.compose(settings)
        self._configure_tracing(settings)
        stopping = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopping.set)
        freeze_gc()
        hugepages.collapse_later()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, tracing.close)
            stack.push_async_callback(running.database.close)
            stack.push_async_callback(running.broker.close)
            stack.push_async_callback(running.peers.close)
            if self.on_start is not None:
                await self.on_start(running, stack)
            return await self._serve(running, kind, stopping)

    def _configure_tracing(self, settings: S) -> None:
        exporter, endpoint = None, settings.otel_exporter_otlp_endpoint
        if endpoint:
            # OpenTelemetry's SDK takes three megabytes, which a process without traces saves.
            exporter = importlib.import_module("chassis.otlp").Otlp(endpoint, self.name)
        tracing.configure(exporter, settings.otel_traces_sampler_arg)

    async def _serve(self, running: Running[S], kind: str, stopping: asyncio.Event) -> int:
        settings = running.settings
        consumer = None
        if kind in ("worker", "all"):
            consumer = Consumer(
                self.bus,
                running.database,
                running.broker,
                settings.retry_tiers,
                batch_size=settings.batch_size,
                batch_linger=settings.batch_linger,
                max_batch_delay=settings.max_batch_delay,
                delivery_timeout=settings.delivery_timeout,
            )
        tasks = [
            asyncio.create_task(running.relay.run(), name="relay"),
            asyncio.create_task(clock.watch(running.database), name="clock"),
        ]
        tasks += [
            asyncio.create_task(restart_on_failure(work, running)) for work in self.background
        ]
        if consumer is not None:
            tasks.append(asyncio.create_task(consume(consumer), name="consumer"))
            tasks += [
                asyncio.create_task(sweep.run(each, running.database, settings.sweep_interval))
                for each in (*self.sweeps_of(running), *self._own_sweeps(settings))
            ]
        application = self.application(running, consumer)
        wrapped = middleware.wrap(application, settings.max_body_bytes, running.stopping.is_set)
        server = server_of(wrapped, settings)
        serving = asyncio.create_task(server.serve(), name="server")
        stopped = asyncio.create_task(stopping.wait(), name="stop signal")
        watched = [serving, stopped, *tasks]
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        failure = next((t.exception() for t in done if not t.cancelled() and t.exception()), None)
        if failure is not None:
            log.error("stopping because a part failed", error=str(failure) or repr(failure))
        await self._shut_down(running, server, serving, consumer, tasks)
        stopped.cancel()
        return 1 if failure is not None else 0

    async def _shut_down(
        self,
        running: Running[S],
        server: Server,
        serving: asyncio.Task[None],
        consumer: Consumer | None,
        tasks: Sequence[asyncio.Task[None]],
    ) -> None:
        """Drain: finish what is in flight, accept nothing else, publish what is committed.

        During the notice for load balancers, requests are still served, and close their
        connections.
        """
        running.stopping.set()
        if not serving.done():
            await asyncio.wait({serving}, timeout=running.settings.drain_notice)
        server.stop()
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await asyncio.gather(serving, return_exceptions=True)
                if consumer is not None:
                    await consumer.drain()
                if running.broker.is_up:
                    await running.relay.drain()
        except Exception as error:  # noqa: BLE001
            # Unfinished work remains in the queue or the outbox.
            log.warning("drain cut short", error=repr(error))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def sweeps_of(self, running: Running[S]) -> Sequence[Sweep]:
        """The service's own sweeps."""
        return self.sweeps(running) if callable(self.sweeps) else self.sweeps

    def _own_sweeps(self, settings: S) -> Sequence[Sweep]:
        async def roll_inbox(database: Database) -> None:
            async with database.transaction() as tx:
                await inbox.roll_partitions(tx, settings.inbox_days)

        return (
            Sweep("inbox partitions", roll_inbox, every=3600),
            Sweep("idempotency keys", idempotency.delete_expired, every=300),
            Sweep("token cutoffs", revocations.delete_expired, every=60),
        )
