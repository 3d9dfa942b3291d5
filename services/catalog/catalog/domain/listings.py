"""What customers see of a product, prepared in advance: its card in a list and its own page."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, CHAR, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from catalog.domain.category import Base, Category
from catalog.domain.product import Product
from catalog.domain.variant import Pricing, Variant
from chassis.model import Retained, Stamped, check_in
from chassis.wire import View
from contracts.catalog import CustomizationField
from contracts.money import Money

Availability = Literal["in_stock", "low_stock", "out_of_stock"]
BEST_FIRST: Final[tuple[Availability, ...]] = get_args(Availability)


class VariantStock(Stamped, Base):
    """The availability that inventory last published of a variant, with the event's `sequence`."""

    __tablename__ = "variant_stock"
    __retention__ = Retained("a copy of inventory's stock, a row for each variant")
    __table_args__ = (CheckConstraint(check_in("availability", BEST_FIRST), name="availability"),)

    variant_id: Mapped[UUID] = mapped_column(primary_key=True)
    product_id: Mapped[UUID] = mapped_column(index=True)
    sequence: Mapped[int]
    availability: Mapped[str] = mapped_column(String(15))


class Listing(Stamped, Base):
    """A product on sale as customers see it, rewritten in the transaction of every change.

    `card` and `page` are the JSON of its place in a list and of its own page; `options` has the
    form `size:xl`; `price_amount` is what its cheapest variant costs now.
    """

    __tablename__ = "listings"
    __retention__ = Retained("a row for each product on sale, deleted when the sale ends")
    __table_args__ = (
        CheckConstraint(check_in("availability", BEST_FIRST), name="availability"),
        Index("ix_listings_category_path", "category_path", postgresql_using="gin"),
        Index("ix_listings_options", "options", postgresql_using="gin"),
        Index("ix_listings_search", "search", postgresql_using="gin"),
        Index(
            "ix_listings_words",
            "words",
            postgresql_using="gin",
            postgresql_ops={"words": "gin_trgm_ops"},
        ),
        Index("ix_listings_price_amount_product_id", "price_amount", "product_id"),
        Index("ix_listings_name_product_id", "name", "product_id"),
    )

    product_id: Mapped[UUID] = mapped_column(
        ForeignKey("products.id", ondelete="CASCADE"), primary_key=True
    )
    slug: Mapped[str] = mapped_column(String(160), unique=True)
    category_path: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    seller_id: Mapped[UUID | None] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(String(200))
    price_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(CHAR(3))
    availability: Mapped[str] = mapped_column(String(15))
    options: Mapped[list[str]] = mapped_column(ARRAY(Text))
    words: Mapped[str] = mapped_column(Text)
    search: Mapped[Any] = mapped_column(TSVECTOR)
    card: Mapped[str] = mapped_column(Text)
    page: Mapped[str] = mapped_column(Text)
    etag: Mapped[str] = mapped_column(String(40))


class CategoryLink(View):
    """A category on the way from the root to a product."""

    id: UUID
    name: str
    slug: str


class OptionView(View):
    """One option of a variant."""

    name: str
    value: str


class OptionChoices(View):
    """An option and all its values, in the order of the variants."""

    name: str
    values: list[str]


class PricesView(View):
    """The present price; a discount also shows the lowest price of the 30 days before it."""

    price: Money
    regular_price: Money
    is_discounted: bool
    discount_ends_at: datetime | None = None
    lowest_price_30_days: Money | None = None


class VariantPage(PricesView):
    """A variant on a product's page."""

    id: UUID
    sku: str
    description: str
    options: list[OptionView]
    lead_time_days: int
    is_available: bool
    availability: Availability


class ImagePage(View):
    """An image on a product's page; pixels where they are known."""

    url: str
    alt_text: str
    mime: str | None
    width: int | None
    height: int | None
    is_primary: bool


class ProductCard(PricesView):
    """A product in a list; prices are those of its cheapest variant."""

    id: UUID
    slug: str
    name: str
    category_id: UUID
    seller_id: UUID | None
    has_several_prices: bool
    availability: Availability
    image_url: str | None
    image_alt_text: str | None


class ProductPage(ProductCard):
    """A product's own page."""

    description: str
    category_path: list[CategoryLink]
    is_customizable: bool
    customization_fields: list[CustomizationField]
    options: list[OptionChoices]
    variants: list[VariantPage]
    images: list[ImagePage]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ListingContext:
    """What the page of a product shows beside the product: one read for many products.

    stock: availability by variant.
    lowest: least amount of the 30 days before a discount, by variant.
    categories: every category on the way to the products.
    """

    stock: Mapping[UUID, Availability]
    lowest: Mapping[UUID, int]
    categories: Mapping[UUID, Category]

    def path_to(self, product: Product) -> list[Category]:
        """The categories from the root down to the product's own."""
        path = product.category.path if product.category is not None else []
        return [self.categories[each] for each in path]


def is_on_sale(product: Product, context: ListingContext) -> bool:
    """Whether customers see the product: active, and so is every category above it."""
    shown = product.deleted_at is None and product.status == "active"
    return shown and all(category.is_active for category in context.path_to(product))


def listing_of(product: Product, context: ListingContext, now: datetime) -> dict[str, Any]:
    """The row of `listings` for a product that is on sale."""
    page = _page(product, context, now)
    body = page.model_dump_json()
    values = [option["value"] for variant in product.offered for option in variant.options]
    words = dict.fromkeys([product.name, *(link.name for link in page.category_path), *values])
    return {
        "product_id": product.id,
        "slug": product.slug,
        "category_path": [link.id for link in page.category_path],
        "seller_id": product.seller_id,
        "name": product.name,
        "price_amount": page.price.amount,
        "currency": product.currency,
        "availability": page.availability,
        "options": _facets(product.offered),
        "words": " ".join(words),
        "description": product.description,
        "card": page.model_dump_json(include=set(ProductCard.model_fields)),
        "page": body,
        "etag": hashlib.blake2b(body.encode(), digest_size=12).hexdigest(),
    }


def _page(product: Product, context: ListingContext, now: datetime) -> ProductPage:
    variants = [_variant(product, variant, context, now) for variant in product.offered]
    # An unavailable variant counts for price and availability only where all are unavailable.
    sold = [variant for variant in variants if variant.is_available] or variants
    cheapest = min(sold, key=lambda variant: variant.price.amount)
    images = sorted(product.images, key=lambda each: (not each.is_primary, each.display_order))
    primary = images[0] if images else None
    return ProductPage(
        **cheapest.model_dump(include=set(PricesView.model_fields)),
        id=product.id,
        slug=product.slug,
        name=product.name,
        category_id=product.category_id,
        seller_id=product.seller_id,
        has_several_prices=len({variant.price.amount for variant in sold}) > 1,
        availability=best(variant.availability for variant in sold if variant.is_available),
        image_url=primary.url if primary else None,
        image_alt_text=primary.alt_text if primary else None,
        description=product.description,
        category_path=[CategoryLink.model_validate(each) for each in context.path_to(product)],
        is_customizable=product.is_customizable,
        customization_fields=[CustomizationField(**each) for each in product.customization_fields],
        options=_choices(product.offered),
        variants=variants,
        images=[ImagePage.model_validate(each) for each in images],
        created_at=product.created_at,
        updated_at=product.updated_at,
    )


def _variant(
    product: Product, variant: Variant, context: ListingContext, now: datetime
) -> VariantPage:
    prices = _prices(
        product.pricing(variant), product.currency, context.lowest.get(variant.id), now
    )
    return VariantPage(
        **prices.model_dump(),
        id=variant.id,
        sku=variant.sku,
        description=variant.description,
        options=[OptionView(**option) for option in variant.options],
        lead_time_days=variant.lead_time_days,
        is_available=variant.is_available,
        availability=context.stock.get(variant.id, "out_of_stock"),
    )


def _prices(pricing: Pricing, currency: str, lowest: int | None, now: datetime) -> PricesView:
    regular = Money(amount=pricing.price_amount, currency=currency)
    if not pricing.is_discounted(now):
        return PricesView(price=regular, regular_price=regular, is_discounted=False)
    before = pricing.price_amount if lowest is None else lowest
    return PricesView(
        price=Money(amount=pricing.amount(now), currency=currency),
        regular_price=regular,
        is_discounted=True,
        discount_ends_at=pricing.discount_until,
        lowest_price_30_days=Money(amount=before, currency=currency),
    )


def best(availabilities: "Sequence[Availability] | Any") -> Availability:
    """The best availability of several; out of stock where there is none."""
    found = set(availabilities)
    return next((each for each in BEST_FIRST if each in found), "out_of_stock")


def _choices(variants: Sequence[Variant]) -> list[OptionChoices]:
    choices: dict[str, dict[str, None]] = {}
    for variant in variants:
        for option in variant.options:
            choices.setdefault(option["name"], {})[option["value"]] = None
    return [OptionChoices(name=name, values=list(values)) for name, values in choices.items()]


def _facets(variants: Sequence[Variant]) -> list[str]:
    """Options in the form of the filter: `size:xl`."""
    return sorted(
        {
            f"{option['name']}:{option['value']}".lower()
            for variant in variants
            for option in variant.options
        }
    )
