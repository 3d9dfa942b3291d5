"""Variants and images of a product, as staff add, change and remove them."""

from uuid import UUID

from fastapi import APIRouter, Response

from catalog import service
from catalog.api.admin_models import (
    Editor,
    ImageBody,
    ImageChanges,
    ImageView,
    NothingToChange,
    VariantBody,
    VariantChanges,
    VariantView,
    image_view,
    variant_view,
)
from catalog.domain.product import (
    CurrencyMismatch,
    ImageNotFound,
    LastVariant,
    ProductNotFound,
    TooMany,
    VariantNotFound,
)
from catalog.store import categories, products
from chassis import etag
from chassis.db import Tx
from chassis.errors import refuses
from chassis.ids import utcnow

variants = APIRouter(prefix="/v1/admin/products/{product_id}/variants")
images = APIRouter(prefix="/v1/admin/products/{product_id}/images")


@variants.post("", status_code=201)
@refuses(*service.PRODUCT_RULES, ProductNotFound, CurrencyMismatch, TooMany)
async def add_variant(
    product_id: UUID, body: VariantBody, caller: Editor, tx: Tx, response: Response
) -> VariantView:
    """Add a variant; the ETag is the product's."""
    await categories.share_lock_tree(tx)
    product = await products.lock_product(tx, product_id)
    variant = body.to_variant(product)
    product.add_variant(variant)
    await service.save_products(tx, [product], caller.principal, utcnow())
    etag.set_header(response, product.version)
    return variant_view(product, variant)


@variants.patch("/{variant_id}")
@refuses(
    *service.PRODUCT_RULES, ProductNotFound, VariantNotFound, CurrencyMismatch, NothingToChange
)
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
    """Change a variant; `If-Match` is the product's version."""
    await categories.share_lock_tree(tx)
    product = await products.lock_product(tx, product_id)
    etag.check(product.version, expected)
    variant = product.find_variant(variant_id)
    given = body.changed_fields()
    if "options" in given:
        variant.set_options(body.option_values())
    if given.keys() & {"price", "price_adjustment"}:
        variant.price_adjustment_amount = body.adjustment(product)
    for field in given.keys() & {"lead_time_days", "is_available"}:
        setattr(variant, field, given[field])
    await service.save_products(tx, [product], caller.principal, utcnow())
    etag.set_header(response, product.version)
    return variant_view(product, variant)


@variants.delete("/{variant_id}", status_code=204)
@refuses(*service.PRODUCT_RULES, ProductNotFound, VariantNotFound, LastVariant)
async def remove_variant(
    product_id: UUID, variant_id: UUID, expected: etag.IfMatch, caller: Editor, tx: Tx
) -> None:
    """Remove a variant; orders still refer to it, and its SKU stays taken."""
    await categories.share_lock_tree(tx)
    product = await products.lock_product(tx, product_id)
    etag.check(product.version, expected)
    now = utcnow()
    product.remove_variant(product.find_variant(variant_id), caller.principal, now)
    await service.save_products(tx, [product], caller.principal, now)


@images.post("", status_code=201)
@refuses(*service.PRODUCT_RULES, ProductNotFound, TooMany)
async def add_image(
    product_id: UUID, body: ImageBody, caller: Editor, tx: Tx, response: Response
) -> ImageView:
    """Add an image; the ETag is the product's."""
    await categories.share_lock_tree(tx)
    product = await products.lock_product(tx, product_id)
    image = body.to_image()
    product.add_image(image, as_primary=body.is_primary)
    await service.save_products(tx, [product], caller.principal, utcnow())
    etag.set_header(response, product.version)
    return image_view(image)


@images.patch("/{image_id}")
@refuses(*service.PRODUCT_RULES, ProductNotFound, ImageNotFound, NothingToChange)
async def change_image(
    *,
    product_id: UUID,
    image_id: UUID,
    body: ImageChanges,
    expected: etag.IfMatch,
    caller: Editor,
    tx: Tx,
    response: Response,
) -> ImageView:
    """Change an image; `If-Match` is the product's version."""
    await categories.share_lock_tree(tx)
    product = await products.lock_product(tx, product_id)
    etag.check(product.version, expected)
    image = product.find_image(image_id)
    given = body.changed_fields()
    if given.pop("is_primary", False):
        product.set_primary_image(image)
    for field, value in given.items():
        setattr(image, field, value)
    await service.save_products(tx, [product], caller.principal, utcnow())
    etag.set_header(response, product.version)
    return image_view(image)


@images.delete("/{image_id}", status_code=204)
@refuses(*service.PRODUCT_RULES, ProductNotFound, ImageNotFound)
async def remove_image(
    product_id: UUID, image_id: UUID, expected: etag.IfMatch, caller: Editor, tx: Tx
) -> None:
    """Remove an image; the next in order becomes primary in its place."""
    await categories.share_lock_tree(tx)
    product = await products.lock_product(tx, product_id)
    etag.check(product.version, expected)
    product.remove_image(product.find_image(image_id))
    await service.save_products(tx, [product], caller.principal, utcnow())
