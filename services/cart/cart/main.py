"""Composition of the cart service."""

from contextlib import AsyncExitStack

from cart.api import routers
from cart.domain.cart import Cart
from cart.handlers import bus
from cart.quotes import Quotes
from cart.settings import CartSettings
from cart.sweeps import sweeps
from chassis.service import Running, Service


async def on_start(running: Running[CartSettings], stack: AsyncExitStack) -> None:
    """Make what routes and sweeps ask the neighbours with."""
    running.resources.peers = running.peers
    running.resources.quotes = Quotes(running.peers, running.settings)


service = Service("cart", CartSettings, Cart.metadata, routers, bus, sweeps, on_start)
