"""Composition of shipping."""

from chassis.service import Service
from shipping.api import routers
from shipping.domain import Base
from shipping.handlers import bus
from shipping.settings import ShippingSettings

service = Service("shipping", ShippingSettings, Base.metadata, routers, bus)
