"""Routes on the lines of a cart."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api import views
from cart.api.access import Asked, Db, Expected, Held, buyer_of
from cart.domain.basket import MAX_QUANTITY, Basket, Wanted
from cart.store import carts, lines
from chassis.auth import MaybeCaller
from chassis.ids import new_id, utcnow
from chassis.wire import Body, Id, Name, Note

router = APIRouter(prefix="/v1/carts/{cart_id}/items", tags=["cart items"])

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]


class WantedBody(Body):
    """Pieces of a variant, with what the customer writes into its customization fields."""

    variant_id: Id
    quantity: Quantity
    customization: Annotated[dict[Name, Note], Field(max_length=20)] | None = None


class QuantityBody(Body):
    """How many pieces a line shall hold."""

    quantity: Quantity


async def put_in(
    tx: AsyncSession, basket: Basket, wanted: Sequence[WantedBody], now: datetime
) -> None:
    """Put pieces into a cart whose row is held; its lines are read on the way."""
    basket.lines, offers = await lines.list_lines(
        tx, basket.id, now, [each.variant_id for each in wanted]
    )
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
async def add_item(
    cart_id: UUID,
    body: WantedBody,
    response: Response,
    caller: MaybeCaller,
    holder: Held,
    expected: Expected,
    database: Db,
    quotes: Asked,
) -> views.CartView:
    """Put pieces into the cart; those of an equal line are added to it."""
    async with database.transaction() as tx:
        basket = await carts.lock_cart(tx, cart_id, holder, expected)
        await put_in(tx, basket, [body], utcnow())
        taxes = await quotes.taxes(tx)
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)


@router.patch("/{item_id}")
async def change_item(
    cart_id: UUID,
    item_id: UUID,
    body: QuantityBody,
    response: Response,
    caller: MaybeCaller,
    holder: Held,
    expected: Expected,
    database: Db,
    quotes: Asked,
) -> views.CartView:
    """Change how many pieces a line holds; this also accepts a changed price."""
    async with database.transaction() as tx:
        basket = await carts.lock_cart(tx, cart_id, holder, expected)
        basket.lines, _ = await lines.list_lines(tx, cart_id, utcnow())
        line = basket.line(item_id)
        basket.set_quantity(line, body.quantity)
        await lines.put_lines(tx, cart_id, [line])
        taxes = await quotes.taxes(tx)
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)


@router.delete("/{item_id}")
async def remove_item(
    cart_id: UUID,
    item_id: UUID,
    response: Response,
    caller: MaybeCaller,
    holder: Held,
    expected: Expected,
    database: Db,
    quotes: Asked,
) -> views.CartView:
    """Take a line out of the cart."""
    async with database.transaction() as tx:
        basket = await carts.lock_cart(tx, cart_id, holder, expected)
        basket.lines, _ = await lines.list_lines(tx, cart_id, utcnow())
        basket.lines.remove(basket.line(item_id))
        await lines.drop_line(tx, item_id)
        taxes = await quotes.taxes(tx)
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)
