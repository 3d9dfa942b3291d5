"""Request and response models of products, variants and images, as staff edit them."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from fastapi import Depends, Response
from pydantic import AfterValidator, Field, model_validator

from catalog.domain.listings import OptionView
from catalog.domain.product import CurrencyMismatch, Product
from catalog.domain.variant import Option, ProductImage, Variant
from chassis import etag
from chassis.auth import Caller, require_permission
from chassis.errors import Invalid
from chassis.ids import new_id
from chassis.wire import Body, MoneyBody, OptionalLine, Price, SafeText, Sku, Slug, Url, View
from contracts.catalog import CustomizationField
from contracts.money import MAX_AMOUNT, Currency, Money

Editor = Annotated[Caller, Depends(require_permission("catalog:write"))]
"""A caller with the permission `catalog:write`."""


class NothingToChange(Invalid):
    """Name at least one field to change."""

    code = "nothing_to_change"


def _not_an_id(slug: str) -> str:
    """Refuse a slug that looks like an id, since one path takes either."""
    try:
        UUID(slug)
    except ValueError:
        return slug
    raise ValueError("a slug must not look like an id")


OwnSlug = Annotated[Slug, AfterValidator(_not_an_id)]
ProductName = Annotated[SafeText, Field(min_length=2, max_length=200)]
Description = Annotated[SafeText, Field(max_length=5000)]
Days = Annotated[int, Field(ge=0, le=365)]
Place = Annotated[int, Field(ge=0, le=100_000)]


class PriceBody(MoneyBody):
    """What a customer pays: at least one minor unit."""

    amount: Price


class AdjustmentBody(Body):
    """A difference of prices in minor units, of either sign."""

    amount: Annotated[int, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
    currency: Currency


class OptionBody(Body):
    """One option of a variant, such as `size` and `XL`; names have no colon."""

    name: Annotated[SafeText, Field(min_length=1, max_length=50, pattern=r"^[^:]+$")]
    value: Annotated[SafeText, Field(min_length=1, max_length=100)]


class Changes(Body):
    """Some fields of a resource; omitted ones stay, null clears those that are `clearable`."""

    clearable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _clears_only_what_may_be_empty(self) -> Self:
        empty = {name for name in self.model_fields_set if getattr(self, name) is None}
        if empty - self.clearable:
            raise ValueError("this field cannot be null")
        return self

    def changed_fields(self) -> dict[str, Any]:
        """The fields that were sent; raises NothingToChange when there are none."""
        if not self.model_fields_set:
            raise NothingToChange
        return {name: getattr(self, name) for name in self.model_fields_set}


Mime = Annotated[str, Field(max_length=100, pattern=r"^image/[a-z0-9.+-]+$")]
Bytes = Annotated[int, Field(ge=0, le=2**40)]
Pixels = Annotated[int, Field(ge=1, le=100_000)]


class Options(Body):
    """The options and the price of a new or changed variant."""

    options: list[OptionBody] = Field(default_factory=list, max_length=5)
    price: PriceBody | None = None
    price_adjustment: AdjustmentBody | None = None

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        names = [option.name.lower() for option in self.options]
        if len(set(names)) < len(names):
            raise ValueError("each option may be named once")
        if self.price is not None and self.price_adjustment is not None:
            raise ValueError("send price or price_adjustment, not both")
        return self

    def option_values(self) -> list[Option]:
        """The options in their stored form."""
        return [Option(name=option.name, value=option.value) for option in self.options]

    def adjustment(self, product: Product) -> int:
        """The difference from the product's price, in minor units; 0 where no price was sent."""
        named = self.price or self.price_adjustment
        if named is None:
            return 0
        if named.currency != product.currency:
            raise CurrencyMismatch
        return named.amount - product.base_price_amount if self.price else named.amount


class VariantBody(Options):
    """A new variant; its SKU cannot change."""

    sku: Sku
    lead_time_days: Days = 0
    is_available: bool = True

    def to_variant(self, product: Product) -> Variant:
        """The variant of this product, not yet added to it."""
        variant = Variant(
            id=new_id(),
            sku=self.sku,
            price_adjustment_amount=self.adjustment(product),
            lead_time_days=self.lead_time_days,
            is_available=self.is_available,
        )
        variant.set_options(self.option_values())
        return variant


class VariantChanges(Changes, Options):
    """What to change of a variant."""

    clearable: ClassVar[frozenset[str]] = frozenset()

    lead_time_days: Days | None = None
    is_available: bool | None = None


class ImageBody(Body):
    """A new image, by its URL; a product's first is primary unless another has `is_primary`."""

    url: Url
    alt_text: OptionalLine = ""
    mime: Mime | None = None
    bytes: Bytes | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    is_primary: bool = False
    display_order: Place = 0

    def to_image(self) -> ProductImage:
        """The image; its product sets `is_primary`."""
        return ProductImage(id=new_id(), **self.model_dump(exclude={"is_primary"}))


class ImageChanges(Changes):
    """What to change of an image; `is_primary` true makes it primary in place of another."""

    clearable: ClassVar[frozenset[str]] = frozenset({"mime", "bytes", "width", "height"})

    url: Url | None = None
    alt_text: OptionalLine | None = None
    mime: Mime | None = None
    bytes: Bytes | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    is_primary: Annotated[bool, Field(description="only true")] | None = None
    display_order: Place | None = None


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
    """Show a variant with its price."""
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


def show_product(response: Response, product: Product) -> ProductView:
    """Show a whole product with its ETag."""
    etag.set_header(response, product.version)
    return product_view(product)
