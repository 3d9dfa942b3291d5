"""Composition of promotions."""

from chassis.service import Service
from promotions.api import routers
from promotions.domain import Base
from promotions.handlers import bus
from promotions.settings import PromotionsSettings

service = Service("promotions", PromotionsSettings, Base.metadata, routers, bus)
