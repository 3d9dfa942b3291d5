"""Routes on the coupon of a cart."""

from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter, Response

from cart.api import views
from cart.api.access import Asked, Db, Expected, Held, buyer_of
from cart.domain import checkout
from cart.domain.basket import Basket, CartEmpty
from cart.domain.checkout import Buyer
from cart.quotes import Quotes
from cart.store import carts, lines
from chassis.auth import MaybeCaller
from chassis.ids import utcnow
from chassis.wire import Body

router = APIRouter(prefix="/v1/carts/{cart_id}/coupon", tags=["cart coupon"])


class CouponBody(Body):
    """A coupon's code; upper and lower case are the same."""

    code: views.CouponCode


@router.put("")
async def set_coupon(
    cart_id: UUID,
    body: CouponBody,
    response: Response,
    caller: MaybeCaller,
    holder: Held,
    expected: Expected,
    database: Db,
    quotes: Asked,
) -> views.CartView:
    """Use a coupon, once promotions says that it may be used on this cart as it is."""
    async with database.transaction() as tx:
        basket = await carts.get_cart(tx, cart_id, holder, utcnow())
    basket.must_be_active()
    if not basket.lines:
        raise CartEmpty
    await _must_be_usable(replace(basket, coupon_code=body.code), buyer_of(basket, caller), quotes)
    async with database.transaction() as tx:
        basket = await carts.lock_cart(tx, cart_id, holder, expected)
        await carts.change_cart(tx, cart_id, {"coupon_code": body.code})
        basket.coupon_code = body.code
        basket.lines, _ = await lines.list_lines(tx, cart_id, utcnow())
        taxes = await quotes.taxes(tx)
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)


async def _must_be_usable(basket: Basket, buyer: Buyer, quotes: Quotes) -> None:
    """Refuse a coupon with promotions' own words."""
    pricing = views.Pricing()
    await pricing.find_method(basket, quotes)
    question = checkout.coupon_question(basket, buyer, pricing.shipping_amount)
    if question is not None:
        await quotes.coupon(question)


@router.delete("")
async def remove_coupon(
    cart_id: UUID,
    response: Response,
    caller: MaybeCaller,
    holder: Held,
    expected: Expected,
    database: Db,
    quotes: Asked,
) -> views.CartView:
    """Use no coupon."""
    async with database.transaction() as tx:
        basket = await carts.lock_cart(tx, cart_id, holder, expected)
        await carts.change_cart(tx, cart_id, {"coupon_code": None})
        basket.coupon_code = None
        basket.lines, _ = await lines.list_lines(tx, cart_id, utcnow())
        taxes = await quotes.taxes(tx)
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)
