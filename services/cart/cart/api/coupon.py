"""Routes on the coupon of a cart."""

from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter

from cart.api import views
from cart.api.showing import Pricing
from cart.api.visit import Visiting
from cart.domain.basket import Basket, CartEmpty
from cart.domain.questions import Buyer, coupon_question
from cart.quotes import Quotes
from cart.store import carts
from chassis.wire import Body

router = APIRouter(prefix="/v1/carts/{cart_id}/coupon")


class CouponBody(Body):
    """A coupon's code; upper and lower case are the same."""

    code: views.CouponCode


@router.put("")
async def set_coupon(cart_id: UUID, body: CouponBody, visit: Visiting) -> views.CartView:
    """Use a coupon, once promotions says that it may be used on this cart as it is."""
    basket = await visit.read(cart_id)
    basket.must_be_active()
    if not basket.lines:
        raise CartEmpty
    tried = replace(basket, coupon_code=body.code)
    await _must_be_usable(tried, visit.buyer(tried), visit.quotes)
    async with visit.change(cart_id) as (tx, basket, _):
        await carts.change_cart(tx, cart_id, {"coupon_code": body.code})
        basket.coupon_code = body.code
    return await visit.show(basket)


async def _must_be_usable(basket: Basket, buyer: Buyer, quotes: Quotes) -> None:
    """Refuse a coupon with promotions' own words."""
    pricing = Pricing()
    await pricing.find_method(basket, quotes)
    question = coupon_question(basket, buyer, pricing.shipping_amount)
    if question is not None:
        await quotes.coupon(question)


@router.delete("")
async def remove_coupon(cart_id: UUID, visit: Visiting) -> views.CartView:
    """Use no coupon."""
    async with visit.change(cart_id) as (tx, basket, _):
        await carts.change_cart(tx, cart_id, {"coupon_code": None})
        basket.coupon_code = None
    return await visit.show(basket)
