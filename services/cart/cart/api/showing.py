"""A cart as its owner sees it: at today's price while it is open, as agreed once it is locked."""

from typing import Any

from cart.api.views import (
    CartView,
    CouponView,
    ItemView,
    MethodView,
    PriceChange,
    method_view,
    money,
)
from cart.domain import checkout
from cart.domain.basket import Basket, Line
from cart.domain.pricing import Cost, LineCost
from cart.domain.questions import Buyer, CouponWorth, Method, coupon_question, rate_question
from cart.domain.tax import Taxes
from cart.quotes import PricingUnavailable, Quotes
from chassis.errors import Problem


class Pricing:
    """The parts of a price as far as they are known, and the codes of what is missing."""

    def __init__(self) -> None:
        self.method: Method | None = None
        self.coupon: CouponWorth | None = None
        self.coupon_problem: str | None = None
        self.problems: list[str] = []

    async def gather(self, basket: Basket, buyer: Buyer, quotes: Quotes) -> None:
        """Ask what is not known; a neighbour that is away leaves a gap, never an error."""
        if not basket.lines:
            return
        await self.find_method(basket, quotes)
        question = coupon_question(basket, buyer, self.shipping_amount)
        if question is not None:
            try:
                self.coupon = await quotes.recent_coupon(question)
            except Problem as refusal:
                self.coupon_problem = refusal.code
                self.problems.append(refusal.code)

    @property
    def shipping_amount(self) -> int:
        """What shipping costs as far as it is known, before any coupon."""
        return self.method.price_amount if self.method else 0

    async def find_method(self, basket: Basket, quotes: Quotes) -> None:
        """Find the chosen method among those offered for the address."""
        question = rate_question(basket)
        if question is None or basket.shipping_method_id is None:
            return
        try:
            methods = await quotes.rates(question, basket.shipping_method_id)
            self.method = checkout.chosen(methods, basket.shipping_method_id)
        except (
            PricingUnavailable,
            checkout.NoShippingZone,
            checkout.ShippingMethodUnavailable,
        ) as refusal:
            self.problems.append(refusal.code)


async def show(basket: Basket, buyer: Buyer, quotes: Quotes, taxes: Taxes) -> CartView:
    """Show a cart. Asks neighbours: no transaction may be open."""
    if basket.locked is not None:
        return _agreed(basket, basket.locked)
    pricing = Pricing()
    await pricing.gather(basket, buyer, quotes)
    costs = checkout.price(basket, pricing.method, pricing.coupon, taxes)
    problems = [*_problems_of(basket, buyer), *pricing.problems]
    currency = basket.currency
    return CartView(
        **_said_by_customer(basket),
        items=_items(basket, costs),
        coupon=_coupon(basket, pricing, costs),
        shipping_method=method_view(pricing.method, currency) if pricing.method else None,
        subtotal=money(costs.subtotal_amount, currency),
        discount=money(costs.discount_amount, currency),
        shipping=money(costs.shipping_amount, currency) if pricing.method else None,
        tax=money(costs.tax_amount, currency) if basket.shipping_address else None,
        total=money(costs.total_amount, currency),
        is_final=not problems,
        problems=problems,
    )


def _said_by_customer(basket: Basket) -> dict[str, Any]:
    """Give the fields that are the same before and after the lock."""
    return {
        "id": basket.id,
        "status": basket.status,
        "customer_id": basket.customer_id,
        "order_id": basket.order_id,
        "email": basket.email,
        "currency": basket.currency,
        "shipping_address": basket.shipping_address,
        "billing_address": basket.billing_address,
        "shipping_method_id": basket.shipping_method_id,
        "version": basket.version,
    }


def _problems_of(basket: Basket, buyer: Buyer) -> list[str]:
    try:
        checkout.must_be_complete(basket, buyer)
    except Problem as refusal:
        return [refusal.code]
    return []


def _items(basket: Basket, costs: Cost) -> list[ItemView]:
    short = basket.short_variants(basket.lines)
    return [
        _item(line, amounts, basket.currency, is_short=line.variant_id in short)
        for line, amounts in zip(basket.lines, costs.lines, strict=True)
    ]


def _item(line: Line, amounts: LineCost, currency: str, *, is_short: bool) -> ItemView:
    offer = line.offer
    problem = "insufficient_stock" if is_short else None
    if not line.is_available(currency):
        problem = "unavailable"
    has_moved = line.unit_price_amount != line.seen_price_amount
    return ItemView(
        id=line.id,
        variant_id=line.variant_id,
        product_id=line.product_id,
        seller_id=offer.seller_id if offer else None,
        sku=line.sku,
        product_name=offer.product_name if offer else line.product_name,
        variant_description=offer.variant_description if offer else line.variant_description,
        unit_price=money(line.unit_price_amount, currency),
        price_change=PriceChange(previous=money(line.seen_price_amount, currency))
        if has_moved
        else None,
        quantity=line.quantity,
        line_total=money(amounts.amount, currency),
        discount=money(amounts.discount_amount, currency),
        tax=money(amounts.tax_amount, currency),
        lead_time_days=offer.lead_time_days if offer else 0,
        customization=dict(line.customization) if line.customization else None,
        problem=problem,
        added_at=line.added_at,
    )


def _coupon(basket: Basket, pricing: Pricing, costs: Cost) -> CouponView | None:
    if basket.coupon_code is None:
        return None
    coupon = pricing.coupon
    waived = pricing.shipping_amount - costs.shipping_amount
    return CouponView(
        code=coupon.code if coupon else basket.coupon_code,
        discount=money(costs.discount_amount + waived, basket.currency),
        problem=pricing.coupon_problem,
    )


def _agreed(basket: Basket, locked: dict[str, Any]) -> CartView:
    """Show a cart as it was locked, whatever things cost today."""
    currency = basket.currency
    added = {str(line.id): line.added_at for line in basket.lines}
    coupon = locked["coupon"]
    return CartView(
        **_said_by_customer(basket),
        items=[
            ItemView(
                **{key: line[key] for key in AGREED},
                id=line["item_id"],
                unit_price=money(line["unit_price_amount"], currency),
                price_change=None,
                line_total=money(line["unit_price_amount"] * line["quantity"], currency),
                discount=money(line["discount_amount"], currency),
                tax=money(line["tax_amount"], currency),
                problem=None,
                added_at=added[line["item_id"]],
            )
            for line in locked["lines"]
        ],
        coupon=coupon
        and CouponView(
            code=coupon["code"], discount=money(coupon["discount_amount"], currency), problem=None
        ),
        shipping_method=MethodView(
            **locked["shipping_method"], price=money(locked["shipping_amount"], currency)
        ),
        subtotal=money(locked["subtotal_amount"], currency),
        discount=money(locked["discount_amount"], currency),
        shipping=money(locked["shipping_amount"], currency),
        tax=money(locked["tax_amount"], currency),
        total=money(locked["total_amount"], currency),
        is_final=True,
        problems=[],
    )


AGREED = (
    "variant_id",
    "product_id",
    "seller_id",
    "sku",
    "product_name",
    "variant_description",
    "quantity",
    "lead_time_days",
    "customization",
)
