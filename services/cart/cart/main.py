"""Composition of the cart service."""

from contextlib import AsyncExitStack

from cart.api import routers
from cart.clients import OrderStatuses, Quotes
from cart.domain.pricing import Base
from cart.handlers import bus
from cart.jobs import sweeps_of
from cart.settings import CartSettings
from cart.store.tax_rates import TaxTableCache
from chassis.service import Running, Service


async def on_start(running: Running[CartSettings], stack: AsyncExitStack) -> None:
    """Create the clients and the cache that routes and sweeps use."""
    peers, settings = running.peers, running.settings
    running.resources.quotes = Quotes(
        peers,
        shipping_url=settings.shipping_url,
        promotions_url=settings.promotions_url,
        max_age=settings.quote_age,
    )
    running.resources.order_statuses = OrderStatuses(peers, orders_url=settings.orders_url)
    running.resources.tax_tables = TaxTableCache(settings.tax_rates_age)


service = Service(
    "cart", CartSettings, Base.metadata, routers, bus, sweeps_of(bus), on_start=on_start
)
