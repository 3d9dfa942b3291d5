"""The HTTP side of payments, one module per noun."""

from payments.api import admin, payment_methods, payments, reconciliation, webhooks

ROUTERS = [
    payments.router,
    payment_methods.router,
    payment_methods.saved_router,
    webhooks.router,
    admin.router,
    reconciliation.router,
]
