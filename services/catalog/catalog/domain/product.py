"""Products: the aggregate of variants, images and prices, with the rules between them."""

from collections import Counter
from datetime import datetime
from typing import Any, Literal, TypeVar, get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY, CHAR, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from catalog.domain.category import Base, Category
from catalog.domain.variant import Pricing, ProductImage, Variant
from chassis.errors import Invalid, NotFound, Refused
from chassis.model import Aggregate, Retained, check_in
from contracts.catalog import (
    CustomizationField,
    Price,
    ProductChanged,
    ProductSnapshot,
    ProductState,
    ProductVariant,
)

State = TypeVar("State", bound=ProductState)

Status = Literal["draft", "active", "inactive"]

MAX_VARIANTS = 100
MAX_IMAGES = 20
# The path of a product whose category was deleted before retired products stored theirs.
UNKNOWN_PATH = [UUID(int=0)]


class ProductNotFound(NotFound):
    """There is no such product."""

    code = "product_unknown"


class VariantNotFound(NotFound):
    """The product has no such variant."""

    code = "variant_unknown"


class ImageNotFound(NotFound):
    """The product has no such image."""

    code = "image_unknown"


class DuplicateSku(Refused):
    """Another variant has this SKU, or had it."""

    code = "duplicate_sku"


class DuplicateOptions(Refused):
    """Another variant of the product has these options."""

    code = "duplicate_options"


class OptionsMissing(Refused):
    """Each of several variants needs options that distinguish it from the others."""

    code = "options_missing"


class LastVariant(Refused):
    """A product has at least one variant."""

    code = "last_variant"


class TooMany(Refused):
    """The product has the highest allowed number of these."""

    code = "too_many"


class PriceTooLow(Refused):
    """Every price a customer can pay is at least one minor unit."""

    code = "price_too_low"


class DiscountNotLower(Refused):
    """A discount price is below the price, and its window ends after it begins."""

    code = "discount_invalid"


class CurrencyMismatch(Refused):
    """All prices of a product are in its currency."""

    code = "currency_mismatch"


class NotCustomizable(Invalid):
    """Only customizable products have customization fields."""

    code = "not_customizable"


class NotADraftAgain(Refused):
    """A product that was on sale cannot become a draft again; make it inactive."""

    code = "product_not_draft"


class Product(Aggregate, Base):
    """Something the shop sells, in one or more variants; `seller_id` None is the house.

    `price_changes_at` is when the window of the discount next opens or closes. `retired_path` is
    the path of the category at the product's retirement: the category may be deleted afterwards,
    while events and snapshots of the product still name it.
    """

    __tablename__ = "products"
    __retention__ = Retained("orders and returns refer to products; a retired one stays")
    __table_args__ = (
        CheckConstraint(check_in("status", get_args(Status)), name="status"),
        CheckConstraint("char_length(name) >= 2", name="name"),
        CheckConstraint("base_price_amount >= 1", name="base_price_amount"),
        CheckConstraint(
            "discount_price_amount >= 1 and discount_price_amount < base_price_amount",
            name="discount_price_amount",
        ),
        CheckConstraint(
            "(discount_price_amount is null) = (discount_from is null) "
            "and (discount_until is null or discount_until > discount_from)",
            name="discount_window",
        ),
        CheckConstraint(
            "is_customizable or customization_fields = '[]'::jsonb", name="customization_fields"
        ),
        CheckConstraint("category_id is not null or deleted_at is not null", name="category_id"),
        CheckConstraint("(deleted_at is null) = (deleted_by is null)", name="deleted"),
        CheckConstraint(
            "deleted_at is not null or retired_path is null",
            name="retired_path",
        ),
        Index(
            "ix_products_price_changes_at",
            "price_changes_at",
            postgresql_where=text("price_changes_at is not null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    category_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("categories.id", ondelete="SET NULL"), index=True
    )
    seller_id: Mapped[UUID | None] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(String(200))
    slug: Mapped[str] = mapped_column(String(160), unique=True)
    description: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(CHAR(3))
    base_price_amount: Mapped[int]
    discount_price_amount: Mapped[int | None]
    discount_from: Mapped[datetime | None]
    discount_until: Mapped[datetime | None]
    price_changes_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(String(10))
    is_customizable: Mapped[bool]
    customization_fields: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    # Each change by staff sets it; a discount that begins or ends does not.
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[str] = mapped_column(String(100))
    updated_by: Mapped[str] = mapped_column(String(100))
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(String(100))
    retired_path: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid()))

    category: Mapped[Category | None] = relationship(lazy="raise", passive_deletes=True)
    variants: Mapped[list[Variant]] = relationship(lazy="raise", order_by=Variant.id)
    images: Mapped[list[ProductImage]] = relationship(
        lazy="raise",
        order_by=(ProductImage.display_order, ProductImage.id),
        cascade="save-update, merge, delete-orphan, delete",
    )

    @property
    def offered(self) -> list[Variant]:
        """The variants that were not removed."""
        return [variant for variant in self.variants if variant.deleted_at is None]

    @property
    def category_path(self) -> list[UUID]:
        """The categories from the root down to the product's own; a retired product's last ones."""
        if self.retired_path:
            return self.retired_path
        return self.category.path if self.category is not None else UNKNOWN_PATH

    def pricing(self, variant: Variant) -> Pricing:
        """The prices of one variant."""
        discount = self.discount_price_amount
        return Pricing(
            self.base_price_amount + variant.price_adjustment_amount,
            None if discount is None else discount + variant.price_adjustment_amount,
            self.discount_from,
            self.discount_until,
        )

    def discount(
        self, amount: int | None, begins: datetime | None, ends: datetime | None, now: datetime
    ) -> None:
        """Lower the price to `amount` inside a window, which begins now where `begins` is None."""
        if amount is None and (begins or ends):
            raise DiscountNotLower("A discount window needs a discount price.")
        self.discount_price_amount = amount
        self.discount_from = None if amount is None else begins or now
        self.discount_until = ends

    def schedule_price_change(self, at: datetime) -> None:
        """Set when the discount's window next opens or closes after a moment."""
        window = Pricing(
            self.base_price_amount,
            self.discount_price_amount,
            self.discount_from,
            self.discount_until,
        )
        self.price_changes_at = None if self.deleted_at else window.changes_after(at)

    def set_status(self, status: str) -> None:
        """Set the status; a product that was on sale cannot become a draft again."""
        if status == "draft" and self.status not in (None, "draft"):
            raise NotADraftAgain
        self.status = status

    def add_variant(self, variant: Variant) -> None:
        """Add a variant."""
        if len(self.offered) >= MAX_VARIANTS:
            raise TooMany
        self.variants.append(variant)

    def find_variant(self, variant_id: UUID) -> Variant:
        """One of the offered variants; raises VariantNotFound."""
        for variant in self.offered:
            if variant.id == variant_id:
                return variant
        raise VariantNotFound

    def remove_variant(self, variant: Variant, by: str, now: datetime) -> None:
        """Remove a variant; its SKU stays taken."""
        if len(self.offered) == 1:
            raise LastVariant
        variant.deleted_at, variant.deleted_by = now, by

    def add_image(self, image: ProductImage, *, as_primary: bool) -> None:
        """Add an image; the first one is primary."""
        if len(self.images) >= MAX_IMAGES:
            raise TooMany
        self.images.append(image)
        image.is_primary = False
        if as_primary or len(self.images) == 1:
            self.set_primary_image(image)

    def set_primary_image(self, chosen: ProductImage) -> None:
        """Make one image the only primary one."""
        for image in self.images:
            image.is_primary = image is chosen

    def find_image(self, image_id: UUID) -> ProductImage:
        """One of the images; raises ImageNotFound."""
        for image in self.images:
            if image.id == image_id:
                return image
        raise ImageNotFound

    def remove_image(self, image: ProductImage) -> None:
        """Remove an image; the next in order becomes primary in its place."""
        self.images.remove(image)
        if image.is_primary and self.images:
            self.set_primary_image(min(self.images, key=lambda each: (each.display_order, each.id)))

    def retire(self, by: str, now: datetime) -> None:
        """Delete softly, as orders and carts still refer to the product. The slug becomes free."""
        self.retired_path = self.category_path
        self.deleted_at, self.deleted_by = now, by
        self.status = "inactive" if self.status == "active" else self.status
        self.slug = f"{self.slug[:120].rstrip('-')}-{self.id}"

    def validate(self) -> None:
        """Check the rules between prices, options and customization; raises what they refuse."""
        if self.customization_fields and not self.is_customizable:
            raise NotCustomizable
        discount, ends = self.discount_price_amount, self.discount_until
        if discount is not None and discount >= self.base_price_amount:
            raise DiscountNotLower
        if self.discount_from and ends and ends <= self.discount_from:
            raise DiscountNotLower
        lowest = self.base_price_amount if discount is None else discount
        if any(lowest + variant.price_adjustment_amount < 1 for variant in self.offered):
            raise PriceTooLow
        keys = Counter(variant.options_key for variant in self.offered)
        if len(self.offered) > 1 and any(not variant.options for variant in self.offered):
            raise OptionsMissing
        if any(count > 1 for count in keys.values()):
            raise DuplicateOptions

    def record_change(self) -> ProductChanged:
        """Record the whole state of the product as an event."""
        return self.record(self._state(ProductChanged))

    def snapshot(self, reply_to: str) -> ProductSnapshot:
        """The whole state for one queue; no event, so it takes no number of its own."""
        return self._state(ProductSnapshot).addressed_to(reply_to, self.sequence)

    def _state(self, kind: type[State]) -> State:
        return kind(
            product_id=self.id,
            slug=self.slug,
            name=self.name,
            status="deleted" if self.deleted_at else self.status,
            category_id=self.category_path[-1],
            category_path=self.category_path,
            seller_id=self.seller_id,
            currency=self.currency,
            customization_fields=[
                CustomizationField(**field) for field in self.customization_fields
            ],
            variants=[self._variant_state(variant) for variant in self.offered],
        )

    def _variant_state(self, variant: Variant) -> ProductVariant:
        pricing = self.pricing(variant)
        return ProductVariant(
            variant_id=variant.id,
            sku=variant.sku,
            description=variant.description,
            price=Price(
                price_amount=pricing.price_amount,
                discount_price_amount=pricing.discount_price_amount,
                discount_from=pricing.discount_from,
                discount_until=pricing.discount_until,
            ),
            is_available=variant.is_available and self.deleted_at is None,
            lead_time_days=variant.lead_time_days,
        )
