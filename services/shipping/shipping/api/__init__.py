"""Routes of shipping, by noun."""

from shipping.api import methods, shipments

ROUTERS = (
    methods.public,
    methods.internal,
    shipments.public,
    shipments.webhooks,
    methods.providers,
    methods.methods,
    shipments.admin,
)
