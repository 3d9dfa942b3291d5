"""Composition: settings in, API, handlers and sweeps out."""

from contextlib import AsyncExitStack

from chassis.service import Running, Service
from payments.api import ROUTERS
from payments.domain import Base
from payments.handlers import bus
from payments.providers.choice import Providers
from payments.providers.offline import Offline
from payments.providers.sandbox import Sandbox
from payments.reconciling import SWEEPS
from payments.settings import PaymentsSettings
from payments.store.gauges import GAUGES


async def connect_providers(running: Running[PaymentsSettings], stack: AsyncExitStack) -> None:
    """Put the providers where handlers and routes find them."""
    settings = running.settings
    sandbox = Sandbox(
        settings.provider_url,
        settings.provider_api_key,
        settings.webhook_keys,
        settings.provider_timeout,
    )
    stack.push_async_callback(sandbox.close)
    running.resources.providers = Providers(sandbox, Offline())


service = Service(
    "payments",
    PaymentsSettings,
    Base.metadata,
    ROUTERS,
    bus,
    sweeps=SWEEPS,
    on_start=connect_providers,
    gauges=GAUGES,
)
