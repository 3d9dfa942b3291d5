"""Shipping's routes, by noun."""

from shipping.api import methods, providers, rates, shipments, tracking, webhooks

routers = [
    rates.router,
    rates.internal,
    shipments.router,
    webhooks.router,
    providers.router,
    methods.router,
    shipments.admin,
    tracking.router,
]
