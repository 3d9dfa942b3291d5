"""The HTTP side of payments, one module per noun."""

from payments.api import admin, methods, payments, reconciliation, webhooks

ROUTERS = [
    payments.router,
    methods.router,
    methods.saved,
    webhooks.router,
    admin.router,
    reconciliation.router,
]
