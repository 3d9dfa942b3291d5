"""What shipping obeys and says: the parcels of an order and how they travel."""

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
    """Make one shipment per seller and warehouse.

    Answered by ShipmentsCreated or ShipmentImpossible.
    `lead_time_days` is the longest of the order's lines; `collect` is what the carrier must collect
    at the door (cash on delivery).
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
    """Keep back every parcel not handed over yet.

    Answered by ShipmentsCancelled, ShipmentsPartlyCancelled or ShipmentAlreadySent.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class ShippedLine(Part):
    """Whole pieces of one order line in one parcel."""

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
    """A fact about all parcels of one order."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "fulfilment"
    order_id: UUID


class ShipmentsCreated(FulfilmentEvent):
    """Every allocated piece has a parcel."""

    shipments: list[Parcel]


class ShipmentImpossible(FulfilmentEvent):
    """Some lines cannot be sent; people decide what happens with them."""

    reason: str
    lines: list[ShippedLine]


class ShipmentsCancelled(FulfilmentEvent):
    """No parcel of the order was or will be handed over."""


class ShipmentsPartlyCancelled(FulfilmentEvent):
    """Some parcels are on their way; `unsent` names the pieces that were kept back."""

    unsent: list[ShippedLine]


class ShipmentAlreadySent(FulfilmentEvent):
    """Every parcel was handed over; a return is the way."""


class ShipmentEvent(Event):
    """A fact about one parcel."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "shipment"
    subject_field: ClassVar[str] = "shipment_id"
    shipment_id: UUID
    order_id: UUID


class ShipmentHandedOver(ShipmentEvent):
    """The carrier has the parcel; its pieces have left the warehouse."""

    warehouse_id: UUID
    lines: list[ShippedLine]
    handed_over_at: datetime


class ShipmentUpdated(ShipmentEvent):
    """A parcel was tracked; `open_shipments` counts the order's parcels not yet at their end."""

    status: ShipmentStatus
    milestone: Milestone
    carrier: str | None = None
    tracking_number: str | None = None
    location: str | None = None
    occurred_at: datetime
    open_shipments: int


class ShippingMethodChanged(Event):
    """A shipping method was made, changed or retired."""

    aggregate: ClassVar[str] = "shipping_method"
    subject_field: ClassVar[str] = "shipping_method_id"
    shipping_method_id: UUID
    name: str
    is_active: bool
