"""Routes on the lines of a cart."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api import views
from cart.api.visit import Visiting
from cart.domain.basket import MAX_QUANTITY, Basket, Wanted
from cart.domain.product import Offer
from cart.store import lines
from chassis.ids import new_id, utcnow
from chassis.wire import Body, Id, Name, SafeText

router = APIRouter(prefix="/v1/carts/{cart_id}/items")

Inscription = Annotated[SafeText, Field(max_length=1000)]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]


class WantedBody(Body):
    """Pieces of a variant, with what the customer writes into its customization fields."""

    variant_id: Id
    quantity: Quantity
    customization: Annotated[dict[Name, Inscription], Field(max_length=20)] | None = None


class QuantityBody(Body):
    """How many pieces a line shall hold."""

    quantity: Quantity


async def put_in(
    tx: AsyncSession, basket: Basket, wanted: Sequence[WantedBody], offers: Mapping[UUID, Offer]
) -> None:
    """Put pieces into a cart whose row is held."""
    now = utcnow()
    changed = [
        basket.add(
            Wanted(each.variant_id, each.quantity, each.customization),
            offers.get(each.variant_id),
            new_id(),
            now,
        )
        for each in wanted
    ]
    if changed:
        await lines.put_lines(tx, basket.id, list({line.id: line for line in changed}.values()))


@router.post("", status_code=201)
async def add_item(cart_id: UUID, body: WantedBody, visit: Visiting) -> views.CartView:
    """Put pieces into the cart; those of an equal line are added to it."""
    async with visit.change(cart_id, [body.variant_id]) as (tx, basket, offers):
        await put_in(tx, basket, [body], offers)
    return await visit.show(basket)


@router.patch("/{item_id}")
async def change_item(
    cart_id: UUID, item_id: UUID, body: QuantityBody, visit: Visiting
) -> views.CartView:
    """Change how many pieces a line holds; this also accepts a changed price."""
    async with visit.change(cart_id) as (tx, basket, _):
        line = basket.line(item_id)
        basket.set_quantity(line, body.quantity)
        await lines.put_lines(tx, cart_id, [line])
    return await visit.show(basket)


@router.delete("/{item_id}")
async def remove_item(cart_id: UUID, item_id: UUID, visit: Visiting) -> views.CartView:
    """Take a line out of the cart."""
    async with visit.change(cart_id) as (tx, basket, _):
        basket.lines.remove(basket.line(item_id))
        await lines.drop_line(tx, item_id)
    return await visit.show(basket)
