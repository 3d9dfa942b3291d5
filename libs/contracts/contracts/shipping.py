"""Messages of shipping: the parcels of an order and their tracking."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.address import Address
from contracts.inventory import Allocation
from contracts.message import Command, Event, Kind, Part
from contracts.money import Money

ShipmentStatus = Literal[
    "pending",
    "scheduled",
    "packed",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "failed",
    "returned",
    "cancelled",
]
Milestone = Literal[
    "order_received", "packed", "shipped", "in_transit", "out_for_delivery", "delivered", "failed"
]


class CreateShipments(Command):
    """Create one shipment per seller and warehouse.

    Answered by ShipmentsCreated or ShipmentImpossible. `lead_time_days` is the longest of the
    order's lines; `collect` is the amount that the carrier collects at the door (cash on delivery).
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    order_number: str
    customer_id: UUID | None = None
    access_hash: str | None = None
    ship_to: Address
    shipping_method_id: UUID
    allocations: list[Allocation]
    placed_at: datetime
    lead_time_days: int = 0
    shipping: Money
    collect: Money | None = None


class CancelShipments(Command):
    """Cancel every shipment that is not handed over yet.

    Answered by ShipmentsCancelled, ShipmentsPartlyCancelled or ShipmentAlreadySent.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class ShippedLine(Part):
    """The pieces of one order line in one parcel."""

    line_id: UUID
    variant_id: UUID
    quantity: int


class Parcel(Part):
    """One shipment of an order."""

    shipment_id: UUID
    warehouse_id: UUID
    seller_id: UUID | None = None
    lines: list[ShippedLine]


class FulfilmentEvent(Event):
    """An event of all parcels of one order."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "fulfilment"
    order_id: UUID


class ShipmentsCreated(FulfilmentEvent):
    """A shipment exists for every allocated piece."""

    shipments: list[Parcel]


class ShipmentImpossible(FulfilmentEvent):
    """Some lines cannot be shipped; staff must resolve them."""

    reason: str
    lines: list[ShippedLine]


class ShipmentsCancelled(FulfilmentEvent):
    """All shipments of the order were cancelled before handover."""


class ShipmentsPartlyCancelled(FulfilmentEvent):
    """Some parcels were handed over already; `unsent` lists the pieces that were not."""

    unsent: list[ShippedLine]


class ShipmentAlreadySent(FulfilmentEvent):
    """Every parcel was handed over already; the customer must return them."""


class ShipmentEvent(Event):
    """An event of one parcel."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "shipment"
    subject_field: ClassVar[str] = "shipment_id"
    shipment_id: UUID
    order_id: UUID


class ShipmentHandedOver(ShipmentEvent):
    """The parcel was handed over to the carrier; its pieces have left the warehouse."""

    warehouse_id: UUID
    lines: list[ShippedLine]
    handed_over_at: datetime


class ShipmentUpdated(ShipmentEvent):
    """A parcel's tracking changed; `open_shipments` counts the order's unfinished parcels."""

    status: ShipmentStatus
    milestone: Milestone
    carrier: str | None = None
    tracking_number: str | None = None
    location: str | None = None
    occurred_at: datetime
    open_shipments: int


class ShippingMethodChanged(Event):
    """A shipping method was created, changed or retired."""

    aggregate: ClassVar[str] = "shipping_method"
    subject_field: ClassVar[str] = "shipping_method_id"
    shipping_method_id: UUID
    name: str
    is_active: bool
