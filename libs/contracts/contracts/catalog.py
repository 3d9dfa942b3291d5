"""Messages of catalog: the full state of products and categories, for read models elsewhere."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command, Event, Kind, Part, Snapshot
from contracts.money import Currency


class Price(Part):
    """The unit price in minor units; the discount price applies within its window, if any."""

    price_amount: int
    discount_price_amount: int | None = None
    discount_from: datetime | None = None
    discount_until: datetime | None = None


class CustomizationField(Part):
    """A text that the customer may add to a product, such as an engraving."""

    name: str
    type: str
    required: bool = False
    max_length: int | None = None


class ProductVariant(Part):
    """A purchasable variant; `description` lists its options, as in `Red / XL`."""

    variant_id: UUID
    sku: str
    description: str
    price: Price
    is_available: bool
    lead_time_days: int = 0


class RequestProductSnapshots(Command):
    """Send the current state of every product to the queue `reply_to`, page by page.

    Catalog replies with one ProductSnapshot per product, then ProductSnapshotsCompleted. `after` is
    the last product of the previous page; catalog sends itself the command for the next page.
    """

    senders: ClassVar[tuple[str, ...]] = ("cart", "catalog", "feed", "inventory")
    subject_field: ClassVar[str] = "request_id"
    request_id: UUID
    reply_to: str
    after: UUID | None = None
    sent: int = 0


class ProductState(Event):
    """The full state of a product."""

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
    """The full state of a product after a change; a `deleted` product retains its id."""


class ProductSnapshot(Snapshot, ProductState):
    """The current full state of a product, sent on request to one queue."""


class ProductSnapshotsCompleted(Snapshot):
    """Every product that existed at the time of the request has been sent."""

    aggregate: ClassVar[str] = "snapshot"
    subject_field: ClassVar[str] = "request_id"
    request_id: UUID
    sent: int


class CategoryChanged(Event):
    """The full state of a category after a change."""

    aggregate: ClassVar[str] = "category"
    subject_field: ClassVar[str] = "category_id"
    category_id: UUID
    parent_id: UUID | None = None
    name: str
    slug: str
    is_active: bool
    is_deleted: bool = False
