"""Products as staff see them, whole."""

from datetime import datetime
from uuid import UUID

from fastapi import Response

from catalog.domain import Product, ProductImage, Variant
from catalog.showcase import OptionView
from chassis import etag
from chassis.wire import View
from contracts.catalog import CustomizationField
from contracts.money import Money


class VariantView(View):
    """A variant; `price` is the product's price with the variant's adjustment, before discounts."""

    id: UUID
    sku: str
    description: str
    options: list[OptionView]
    price: Money
    price_adjustment: Money
    lead_time_days: int
    is_available: bool


class ImageView(View):
    """An image; `bytes` is its size, `width` and `height` are pixels, where they are known."""

    id: UUID
    url: str
    alt_text: str
    mime: str | None
    bytes: int | None
    width: int | None
    height: int | None
    is_primary: bool
    display_order: int


class ProductView(View):
    """A product with its variants and images; its ETag is that of all of them."""

    id: UUID
    category_id: UUID | None
    seller_id: UUID | None
    name: str
    slug: str
    description: str
    base_price: Money
    discount_price: Money | None
    discount_from: datetime | None
    discount_until: datetime | None
    status: str
    is_customizable: bool
    customization_fields: list[CustomizationField]
    variants: list[VariantView]
    images: list[ImageView]
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    deleted_at: datetime | None
    deleted_by: str | None


def variant_view(product: Product, variant: Variant) -> VariantView:
    """Show a variant with what it costs."""
    currency = product.currency
    return VariantView(
        id=variant.id,
        sku=variant.sku,
        description=variant.description,
        options=[OptionView(**option) for option in variant.options],
        price=Money(amount=product.pricing(variant).price_amount, currency=currency),
        price_adjustment=Money(amount=variant.price_adjustment_amount, currency=currency),
        lead_time_days=variant.lead_time_days,
        is_available=variant.is_available,
    )


def image_view(image: ProductImage) -> ImageView:
    """Show an image."""
    return ImageView.model_validate(image)


def product_view(product: Product) -> ProductView:
    """Show a whole product."""
    discount = product.discount_price_amount
    return ProductView(
        **{name: getattr(product, name) for name in ProductView.model_fields if name in COPIED},
        base_price=Money(amount=product.base_price_amount, currency=product.currency),
        discount_price=discount and Money(amount=discount, currency=product.currency),
        customization_fields=[CustomizationField(**each) for each in product.customization_fields],
        variants=[variant_view(product, variant) for variant in product.offered],
        images=[image_view(image) for image in product.images],
    )


MADE = {"base_price", "discount_price", "customization_fields", "variants", "images"}
COPIED = ProductView.model_fields.keys() - MADE


def shown(response: Response, product: Product) -> ProductView:
    """Show a whole product with its ETag."""
    etag.set_header(response, product.version)
    return product_view(product)
