"""Composition of shipping."""

from chassis.service import Service
from shipping.api import ROUTERS
from shipping.domain.methods import Base
from shipping.handlers import bus
from shipping.settings import ShippingSettings

service = Service("shipping", ShippingSettings, Base.metadata, ROUTERS, bus)
