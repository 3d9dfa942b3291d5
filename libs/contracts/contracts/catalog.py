"""What catalog says: products and categories, whole, so that others can keep copies."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command, Event, Kind, Part, Snapshot
from contracts.money import Currency


class Price(Part):
    """What one piece costs, in minor units; the discount price holds inside its window, if any."""

    price_amount: int
    discount_price_amount: int | None = None
    discount_from: datetime | None = None
    discount_until: datetime | None = None


class CustomizationField(Part):
    """Something the customer may write on a product, such as an engraving."""

    name: str
    type: str
    required: bool = False
    max_length: int | None = None


class ProductVariant(Part):
    """One thing that can be bought; `description` names its options, as in `Red / XL`."""

    variant_id: UUID
    sku: str
    description: str
    price: Price
    is_available: bool
    lead_time_days: int = 0


class RequestProductSnapshots(Command):
    """Tell one asker the present state of every product, page by page.

    The answer is a ProductSnapshot for each and a ProductSnapshotsCompleted at the end, in the
    queue `reply_to`.
    `after` is the last product of the page before; the catalogue asks itself for the next page.
    """

    senders: ClassVar[tuple[str, ...]] = ("cart", "catalog", "feed", "inventory")
    subject_field: ClassVar[str] = "request_id"
    request_id: UUID
    reply_to: str
    after: UUID | None = None
    sent: int = 0


class ProductState(Event):
    """The whole state of a product."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "product"
    subject_field: ClassVar[str] = "product_id"
    product_id: UUID
    slug: str
    name: str
    status: Literal["draft", "active", "inactive", "deleted"]
    category_id: UUID
    category_path: list[UUID]
    seller_id: UUID | None = None
    currency: Currency
    customization_fields: list[CustomizationField] = []
    variants: list[ProductVariant]


class ProductChanged(ProductState):
    """The whole state of a product after a change; `deleted` products stay known by their id."""


class ProductSnapshot(Snapshot, ProductState):
    """The whole state of a product as it is now, for one asker."""


class ProductSnapshotsCompleted(Snapshot):
    """Every product there was at the time of the request has been told."""

    aggregate: ClassVar[str] = "snapshot"
    subject_field: ClassVar[str] = "request_id"
    request_id: UUID
    sent: int


class CategoryChanged(Event):
    """The whole state of a category after a change."""

    aggregate: ClassVar[str] = "category"
    subject_field: ClassVar[str] = "category_id"
    category_id: UUID
    parent_id: UUID | None = None
    name: str
    slug: str
    is_active: bool
    is_deleted: bool = False
