"""Composition of inventory."""

from chassis.service import Service
from chassis.settings import ServiceSettings
from inventory.api import reservations, stock, warehouses
from inventory.domain.stock import Base
from inventory.handlers import bus
from inventory.jobs import sweeps
from inventory.store.views import GAUGES

service = Service(
    "inventory",
    ServiceSettings,
    Base.metadata,
    # The fixed paths under /v1/admin/stock precede the one that takes a variant's id.
    [
        warehouses.router,
        reservations.movements,
        reservations.router,
        reservations.reconciliation,
        stock.router,
    ],
    bus,
    sweeps,
    gauges=GAUGES,
)
