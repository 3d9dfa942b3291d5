"""Composition: inventory's tables, routes and handlers, run as one service."""

from chassis.service import Service
from chassis.settings import ServiceSettings
from inventory import handlers
from inventory.api import movements, reconciliation, reservations, stock, stock_items, warehouses
from inventory.domain.model import Base
from inventory.store.gauges import GAUGES
from inventory.sweeps import sweeps

service = Service(
    "inventory",
    ServiceSettings,
    Base.metadata,
    # The fixed paths under /v1/admin/stock stand before the one that takes a variant's id.
    [
        warehouses.router,
        movements.router,
        reservations.router,
        reconciliation.router,
        stock.router,
        stock_items.router,
    ],
    handlers.bus,
    sweeps,
    gauges=GAUGES,
)
