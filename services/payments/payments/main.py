"""Composition: settings in; API, handlers and sweeps out."""

from contextlib import AsyncExitStack

from chassis.db import Database
from chassis.service import Running, Service
from chassis.sweep import Sweep
from payments import jobs
from payments.api import ROUTERS
from payments.clients.provider import CashOnDelivery, Providers
from payments.clients.sandbox import Sandbox
from payments.domain.tables import Base
from payments.handlers import bus
from payments.settings import PaymentsSettings
from payments.store.reports import GAUGES


async def connect_providers(running: Running[PaymentsSettings], stack: AsyncExitStack) -> None:
    """Compose the providers of handlers, routes and sweeps."""
    settings = running.settings
    sandbox = Sandbox(
        settings.provider_url,
        settings.provider_api_key,
        settings.webhook_keys,
        settings.provider_timeout,
    )
    stack.push_async_callback(sandbox.close)
    running.resources.providers = Providers(sandbox, CashOnDelivery())


async def _check_open_payments(database: Database) -> int:
    return await jobs.check_open_payments(database, bus.resources.providers, bus.settings)


async def _finish_refunds(database: Database) -> int:
    return await jobs.finish_refunds(database, bus.resources.providers, bus.settings)


async def _purge_deleted_methods(database: Database) -> int:
    return await jobs.purge_deleted_methods(database, bus.resources.providers)


service = Service(
    "payments",
    PaymentsSettings,
    Base.metadata,
    ROUTERS,
    bus,
    sweeps=(
        Sweep(jobs.CHECKS.name, _check_open_payments),
        Sweep(jobs.REFUNDS.name, _finish_refunds),
        Sweep(jobs.DELETIONS.name, _purge_deleted_methods),
    ),
    on_start=connect_providers,
    gauges=GAUGES,
)
