"""Images of a product as staff keep them."""

from typing import Annotated, ClassVar
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from catalog.api.access import Editor
from catalog.api.admin_views import ImageView, image_view
from catalog.api.bodies import Changes, Place
from catalog.domain import ProductImage
from catalog.store import categories
from catalog.store import products as store
from catalog.store.publishing import publish
from chassis import etag
from chassis.db import Tx
from chassis.ids import new_id, utcnow
from chassis.wire import Body, OptionalLine, Url

router = APIRouter(prefix="/v1/admin/products/{product_id}/images")

Mime = Annotated[str, Field(max_length=100, pattern=r"^image/[a-z0-9.+-]+$")]
Bytes = Annotated[int, Field(ge=0, le=2**40)]
Pixels = Annotated[int, Field(ge=1, le=100_000)]


class ImageBody(Body):
    """A new image, by its address; the first of a product is primary, or one that says so."""

    url: Url
    alt_text: OptionalLine = ""
    mime: Mime | None = None
    bytes: Bytes | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    is_primary: bool = False
    display_order: Place = 0

    def to_image(self) -> ProductImage:
        """The image; whether it is primary is its product's to say."""
        return ProductImage(id=new_id(), **self.model_dump(exclude={"is_primary"}))


class ImageChanges(Changes):
    """What to change of an image; another becomes primary only by being made so."""

    clearable: ClassVar[frozenset[str]] = frozenset({"mime", "bytes", "width", "height"})

    url: Url | None = None
    alt_text: OptionalLine | None = None
    mime: Mime | None = None
    bytes: Bytes | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    is_primary: Annotated[bool, Field(description="only true")] | None = None
    display_order: Place | None = None


@router.post("", status_code=201)
async def add_image(
    product_id: UUID, body: ImageBody, caller: Editor, tx: Tx, response: Response
) -> ImageView:
    """Show one more image; the ETag is the product's."""
    await categories.hold_tree(tx)
    product = await store.lock_product(tx, product_id)
    image = body.to_image()
    product.show(image, as_primary=body.is_primary)
    await publish(tx, [product], caller.principal, utcnow())
    etag.set_header(response, product.version)
    return image_view(image)


@router.patch("/{image_id}")
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
    """Change an image; If-Match names the product's version."""
    await categories.hold_tree(tx)
    product = await store.lock_product(tx, product_id)
    etag.check(product.version, expected)
    image = product.find_image(image_id)
    given = body.given()
    if given.pop("is_primary", False):
        product.feature(image)
    for field, value in given.items():
        setattr(image, field, value)
    await publish(tx, [product], caller.principal, utcnow())
    etag.set_header(response, product.version)
    return image_view(image)


@router.delete("/{image_id}", status_code=204)
async def remove_image(
    product_id: UUID, image_id: UUID, expected: etag.IfMatch, caller: Editor, tx: Tx
) -> None:
    """Remove an image; the next in order becomes primary where it was."""
    await categories.hold_tree(tx)
    product = await store.lock_product(tx, product_id)
    etag.check(product.version, expected)
    product.hide(product.find_image(image_id))
    await publish(tx, [product], caller.principal, utcnow())
