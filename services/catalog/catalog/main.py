"""Composition of catalog."""

from catalog.api import routers
from catalog.domain.category import Base
from catalog.handlers import bus
from catalog.jobs import sweeps
from catalog.settings import CatalogSettings
from chassis.service import Service

service = Service(
    "catalog",
    CatalogSettings,
    Base.metadata,
    routers,
    bus,
    sweeps=sweeps,
)
