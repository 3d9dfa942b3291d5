"""Composition of catalog."""

from catalog.api import routers
from catalog.domain import Base
from catalog.handlers import bus
from catalog.settings import CatalogSettings
from catalog.sweeps import sweeps
from chassis.service import Service

service = Service(
    "catalog",
    CatalogSettings,
    Base.metadata,
    routers,
    bus,
    sweeps=sweeps,
)
