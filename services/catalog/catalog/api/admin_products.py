"""Products, as staff create, change and retire them."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field, model_validator
from slugify import slugify
from sqlalchemy.ext.asyncio import AsyncSession

from catalog import service
from catalog.api.admin_models import (
    Changes,
    Description,
    Editor,
    ImageBody,
    NothingToChange,
    OwnSlug,
    PriceBody,
    ProductName,
    ProductView,
    VariantBody,
    product_view,
    show_product,
)
from catalog.domain.category import Category, UnknownCategory
from catalog.domain.product import (
    CurrencyMismatch,
    NotADraftAgain,
    Product,
    ProductNotFound,
    Status,
    TooMany,
)
from catalog.store import categories, products
from chassis import etag
from chassis.db import Tx
from chassis.errors import refuses
from chassis.ids import new_id, utcnow
from chassis.pages import Page, Paged
from chassis.wire import Body, Id, Moment, Name, SafeText, Sku, View

router = APIRouter(prefix="/v1/admin/products")


class CustomizationBody(Body):
    """A text or number that customers add to the product."""

    name: Name
    type: Literal["text", "number"] = "text"
    required: bool = False
    max_length: Annotated[int, Field(ge=1, le=1000)] | None = None


Fields = Annotated[list[CustomizationBody], Field(max_length=20)]


class ProductBody(Body):
    """A new product with its variants and images; the default slug is made of the name."""

    category_id: Id
    seller_id: Id | None = None
    name: ProductName
    slug: OwnSlug | None = None
    description: Description = ""
    base_price: PriceBody
    discount_price: PriceBody | None = None
    discount_from: Moment | None = None
    discount_until: Moment | None = None
    status: Status = "draft"
    is_customizable: bool = False
    customization_fields: Fields = Field(default_factory=list)
    variants: list[VariantBody] = Field(min_length=1, max_length=100)
    images: list[ImageBody] = Field(default_factory=list, max_length=20)

    @model_validator(mode="after")
    def _has_no_duplicates(self) -> Self:
        skus = [variant.sku for variant in self.variants]
        if len(set(skus)) < len(skus):
            raise ValueError("each SKU may be used once")
        if sum(image.is_primary for image in self.images) > 1:
            raise ValueError("one image is primary")
        check_fields(self.customization_fields)
        return self


class ProductsBody(Body):
    """Up to a hundred new products."""

    items: list[ProductBody] = Field(min_length=1, max_length=100)


class ProductsView(View):
    """Products, in the order of the request."""

    items: list[ProductView]


class ProductChanges(Changes):
    """What to change of a product; `discount_price` null ends the discount."""

    clearable: ClassVar[frozenset[str]] = frozenset(
        {"seller_id", "discount_price", "discount_from", "discount_until"}
    )

    category_id: Id | None = None
    seller_id: Id | None = None
    name: ProductName | None = None
    slug: OwnSlug | None = None
    description: Description | None = None
    base_price: PriceBody | None = None
    discount_price: PriceBody | None = None
    discount_from: Moment | None = None
    discount_until: Moment | None = None
    status: Status | None = None
    is_customizable: bool | None = None
    customization_fields: Fields | None = None

    @model_validator(mode="after")
    def _has_no_duplicate_fields(self) -> Self:
        check_fields(self.customization_fields or [])
        return self


def check_fields(fields: list[CustomizationBody]) -> None:
    """Refuse two customization fields of one name."""
    if len({field.name.lower() for field in fields}) < len(fields):
        raise ValueError("each customization field may be named once")


async def _category(tx: AsyncSession, category_id: UUID) -> Category:
    found = await categories.find_category(tx, category_id)
    if found is None:
        raise UnknownCategory
    return found


def _apply_discount(product: Product, given: dict[str, Any]) -> None:
    """Apply the discount fields that were sent; the others stay, unless the discount ends."""
    named = {"discount_price", "discount_from", "discount_until"} & given.keys()
    if not named:
        return
    price: PriceBody | None = given.get("discount_price")
    if price is not None and price.currency != product.currency:
        raise CurrencyMismatch
    amount = price.amount if price else None
    if "discount_price" not in given:
        amount = product.discount_price_amount
    ends_now = amount is None
    begins = None if ends_now else product.discount_from
    until = None if ends_now else product.discount_until
    product.discount(
        amount,
        given.get("discount_from", begins),
        given.get("discount_until", until),
        utcnow(),
    )


async def _build(tx: AsyncSession, body: ProductBody, by: str, now: datetime) -> Product:
    """Build a product from its body; `save_products` checks its rules."""
    product = Product(
        id=new_id(),
        version=0,
        category=await _category(tx, body.category_id),
        currency=body.base_price.currency,
        base_price_amount=body.base_price.amount,
        status=body.status,
        created_at=now,
        created_by=by,
        customization_fields=[field.model_dump() for field in body.customization_fields],
        variants=[],
        images=[],
        **body.model_dump(include={"seller_id", "name", "description", "is_customizable"}),
    )
    product.category_id = body.category_id
    product.slug = body.slug or _slug_of(product)
    _apply_discount(product, {name: getattr(body, name) for name in body.model_fields_set})
    for variant in body.variants:
        product.add_variant(variant.to_variant(product))
    for image in body.images:
        product.add_image(image.to_image(), as_primary=image.is_primary)
    return product


@router.post("", status_code=201)
@refuses(*service.PRODUCT_RULES, CurrencyMismatch, TooMany, UnknownCategory)
async def create_product(
    body: ProductBody, caller: Editor, tx: Tx, response: Response
) -> ProductView:
    """Create a product with its variants and images."""
    await categories.share_lock_tree(tx)
    now = utcnow()
    product = await _build(tx, body, caller.principal, now)
    await service.save_products(tx, [product], caller.principal, now)
    return show_product(response, product)


@router.post("/bulk", status_code=201)
@refuses(*service.PRODUCT_RULES, CurrencyMismatch, TooMany, UnknownCategory)
async def create_many(body: ProductsBody, caller: Editor, tx: Tx) -> ProductsView:
    """Create up to a hundred products, all of them or none."""
    await categories.share_lock_tree(tx)
    now = utcnow()
    created = [await _build(tx, item, caller.principal, now) for item in body.items]
    await service.save_products(tx, created, caller.principal, now)
    return ProductsView(items=[product_view(product) for product in created])


def _slug_of(product: Product) -> str:
    """A slug of the name, made unique by the end of the id."""
    return slugify(f"{product.name[:100]} {product.id.hex[-8:]}", max_length=160)


@router.get("")
async def list_products(
    *,
    paging: Paged,
    _caller: Editor,
    tx: Tx,
    status: Literal["draft", "active", "inactive", "deleted"] | None = None,
    category_id: UUID | None = None,
    seller_id: UUID | None = None,
    sku: Annotated[Sku | None, Query()] = None,
    name: Annotated[SafeText | None, Query(max_length=200, description="part of the name")] = None,
) -> Page[ProductView]:
    """List products, newest first; retired ones with `status=deleted`."""
    rows = await products.list_products(
        tx,
        paging.limit + 1,
        paging.position(UUID),
        status=status,
        category_id=category_id,
        seller_id=seller_id,
        sku=sku,
        name=name,
    )
    return paging.page(rows, product_view, lambda row: row.id)


@router.get("/{product_id}")
@refuses(ProductNotFound)
async def get_product(product_id: UUID, _caller: Editor, tx: Tx, response: Response) -> ProductView:
    """Return one product, in any state."""
    return show_product(response, await products.get_product(tx, product_id))


@router.patch("/{product_id}")
@refuses(
    *service.PRODUCT_RULES,
    ProductNotFound,
    CurrencyMismatch,
    NotADraftAgain,
    NothingToChange,
    UnknownCategory,
)
async def change_product(
    *,
    product_id: UUID,
    body: ProductChanges,
    expected: etag.IfMatch,
    caller: Editor,
    tx: Tx,
    response: Response,
) -> ProductView:
    """Change a product; its variants' price differences stay."""
    await categories.share_lock_tree(tx)
    product = await products.lock_product(tx, product_id)
    etag.check(product.version, expected)
    given = body.changed_fields()
    if body.base_price is not None:
        if body.base_price.currency != product.currency:
            raise CurrencyMismatch
        product.base_price_amount = body.base_price.amount
    if body.category_id is not None:
        product.category = await _category(tx, body.category_id)
        product.category_id = body.category_id
    if body.status is not None:
        product.set_status(body.status)
    if body.customization_fields is not None:
        product.customization_fields = [each.model_dump() for each in body.customization_fields]
    for field in given.keys() & {"seller_id", "name", "slug", "description", "is_customizable"}:
        setattr(product, field, given[field])
    _apply_discount(product, given)
    await service.save_products(tx, [product], caller.principal, utcnow())
    return show_product(response, product)


@router.delete("/{product_id}", status_code=204)
@refuses(*service.PRODUCT_RULES, ProductNotFound)
async def delete_product(product_id: UUID, expected: etag.IfMatch, caller: Editor, tx: Tx) -> None:
    """Retire a product; orders and carts still refer to it."""
    await categories.share_lock_tree(tx)
    product = await products.lock_product(tx, product_id)
    etag.check(product.version, expected)
    now = utcnow()
    product.retire(caller.principal, now)
    await service.save_products(tx, [product], caller.principal, now)
