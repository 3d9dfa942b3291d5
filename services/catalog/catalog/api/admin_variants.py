"""Variants of a product as staff keep them."""

from typing import ClassVar, Self
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field, model_validator

from catalog.api.access import Editor
from catalog.api.admin_views import VariantView, variant_view
from catalog.api.bodies import AdjustmentBody, Changes, Days, OptionBody, PriceBody
from catalog.domain import Option, Product, Variant
from catalog.domain.refusals import CurrencyMismatch
from catalog.store import categories
from catalog.store import products as store
from catalog.store.publishing import publish
from chassis import etag
from chassis.db import Tx
from chassis.ids import new_id, utcnow
from chassis.wire import Body, Sku

router = APIRouter(prefix="/v1/admin/products/{product_id}/variants")


class Options(Body):
    """What both a new and a changed variant may name of options and prices."""

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

    def described(self) -> list[Option]:
        """The options as they are stored."""
        return [Option(name=option.name, value=option.value) for option in self.options]

    def adjustment(self, product: Product) -> int:
        """What is added to the product's price, in minor units; nothing unless named."""
        named = self.price or self.price_adjustment
        if named is None:
            return 0
        if named.currency != product.currency:
            raise CurrencyMismatch
        return named.amount - product.base_price_amount if self.price else named.amount


class VariantBody(Options):
    """A new variant; its SKU is for ever."""

    sku: Sku
    lead_time_days: Days = 0
    is_available: bool = True

    def to_variant(self, product: Product) -> Variant:
        """The variant of a product."""
        variant = Variant(
            id=new_id(),
            sku=self.sku,
            price_adjustment_amount=self.adjustment(product),
            lead_time_days=self.lead_time_days,
            is_available=self.is_available,
        )
        variant.describe_by(self.described())
        return variant


class VariantChanges(Changes, Options):
    """What to change of a variant."""

    clearable: ClassVar[frozenset[str]] = frozenset()

    lead_time_days: Days | None = None
    is_available: bool | None = None


@router.post("", status_code=201)
async def add_variant(
    product_id: UUID, body: VariantBody, caller: Editor, tx: Tx, response: Response
) -> VariantView:
    """Offer the product in one more variant; the ETag is the product's."""
    await categories.hold_tree(tx)
    product = await store.lock_product(tx, product_id)
    variant = body.to_variant(product)
    product.offer(variant)
    await publish(tx, [product], caller.principal, utcnow())
    etag.set_header(response, product.version)
    return variant_view(product, variant)


@router.patch("/{variant_id}")
async def change_variant(
    *,
    product_id: UUID,
    variant_id: UUID,
    body: VariantChanges,
    expected: etag.IfMatch,
    caller: Editor,
    tx: Tx,
    response: Response,
) -> VariantView:
    """Change a variant; If-Match names the product's version."""
    await categories.hold_tree(tx)
    product = await store.lock_product(tx, product_id)
    etag.check(product.version, expected)
    variant = product.find_variant(variant_id)
    given = body.given()
    if "options" in given:
        variant.describe_by(body.described())
    if given.keys() & {"price", "price_adjustment"}:
        variant.price_adjustment_amount = body.adjustment(product)
    for field in given.keys() & {"lead_time_days", "is_available"}:
        setattr(variant, field, given[field])
    await publish(tx, [product], caller.principal, utcnow())
    etag.set_header(response, product.version)
    return variant_view(product, variant)


@router.delete("/{variant_id}", status_code=204)
async def remove_variant(
    product_id: UUID, variant_id: UUID, expected: etag.IfMatch, caller: Editor, tx: Tx
) -> None:
    """Take a variant away; orders still know it, and its SKU stays taken."""
    await categories.hold_tree(tx)
    product = await store.lock_product(tx, product_id)
    etag.check(product.version, expected)
    now = utcnow()
    product.withdraw(product.find_variant(variant_id), caller.principal, now)
    await publish(tx, [product], caller.principal, now)
