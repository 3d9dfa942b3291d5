"""Composes a service from settings, routes, handlers and sweeps; `serving.py` runs it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from fastapi import APIRouter
from sqlalchemy import MetaData

from chassis import app as factory
from chassis import gauges, inbox, metrics, pruning
from chassis.broker import Broker
from chassis.bus import Bus
from chassis.client import Peers, ServiceTokens
from chassis.db import Database
from chassis.driver import Sql
from chassis.gauges import COMMON_GAUGES, DatabaseGauge, DatabaseGauges
from chassis.keys import KeySet
from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from chassis.ops import routes
from chassis.revocations import Revocations
from chassis.settings import ServiceSettings
from chassis.sweep import Sweep

S = TypeVar("S", bound=ServiceSettings)
CHECK_TIMEOUT = 2.0
PING = Sql("select 1")


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
    # Set when the service is to stop; /readyz then fails, so that load balancers move on.
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
        """Build the dependencies; each connects on first use.

        Raises ValueError for a RETENTION_DAYS that the tables do not support.
        """
        self._pruning_rules(settings)
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
                    await running.database.fetch(PING)
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

    def sweeps_of(self, running: Running[S]) -> Sequence[Sweep]:
        """The service's own sweeps."""
        return self.sweeps(running) if callable(self.sweeps) else self.sweeps

    def common_sweeps(self, settings: S) -> Sequence[Sweep]:
        """The sweeps of every service."""

        async def roll_inbox(database: Database) -> None:
            async with database.transaction() as tx:
                await inbox.roll_partitions(tx, settings.inbox_days)

        return (
            Sweep("inbox partitions", roll_inbox, every=3600),
            pruning.sweep_of(self._pruning_rules(settings)),
        )

    def _pruning_rules(self, settings: S) -> list[pruning.Rule]:
        return pruning.rules_of(self.metadata, settings.retention_days)
