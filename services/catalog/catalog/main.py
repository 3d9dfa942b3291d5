"""Composition of catalog."""

from contextlib import AsyncExitStack

from catalog.api import routers
from catalog.domain import Base
from catalog.handlers import bus
from catalog.settings import CatalogSettings
from catalog.sweeps import sweeps
from chassis.service import Running, Service


async def on_start(running: Running[CatalogSettings], _closing: AsyncExitStack) -> None:
    """Let browsing use the pool without transactions: each of its reads is one statement."""
    reads = running.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    running.resources.reads = reads


service = Service(
    "catalog",
    CatalogSettings,
    Base.metadata,
    routers,
    bus,
    sweeps=sweeps,
    on_start=on_start,
)
