"""The rules of shipping: who carries, at what price, which parcels there are, how they travel."""

from shipping.domain.fulfilment import Fulfilment, lines_of, parcels_of, refusal
from shipping.domain.method import ShippingMethod
from shipping.domain.provider import ShippingProvider
from shipping.domain.shipment import Shipment, ShipmentClosed
from shipping.domain.tables import Base
from shipping.domain.tariff import Tariff
from shipping.domain.tracking import Report, TrackingEvent

__all__ = [
    "Base",
    "Fulfilment",
    "Report",
    "Shipment",
    "ShipmentClosed",
    "ShippingMethod",
    "ShippingProvider",
    "Tariff",
    "TrackingEvent",
    "lines_of",
    "parcels_of",
    "refusal",
]
