"""A cart as its owner sees it: priced at this moment, with everything that keeps it from checkout."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field

from cart.domain import checkout
from cart.domain.basket import Basket, Line
from cart.domain.checkout import Buyer, CouponWorth, Method
from cart.domain.pricing import Cost, LineCost
from cart.domain.tax import Taxes
from cart.quotes import PricingUnavailable, Quotes
from chassis import etag
from chassis.errors import Problem
from chassis.wire import Body, Name, OptionalLine, SafeText, View

Email = Annotated[
    SafeText, Field(min_length=3, max_length=255, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
]
CouponCode = Annotated[SafeText, Field(min_length=1, max_length=50)]


class AddressBody(Body):
    """A postal address; `country` is ISO 3166-1 alpha-2, `state` its code where it has states."""

    recipient_name: Name
    line1: Annotated[SafeText, Field(min_length=1, max_length=200)]
    line2: OptionalLine = ""
    city: Name
    state: Annotated[SafeText, Field(max_length=100)] = ""
    postal_code: Annotated[SafeText, Field(max_length=20)] = ""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    phone: Annotated[str, Field(max_length=20, pattern=r"^(\+?[0-9 ()./-]*)$")] = ""


class MoneyView(View):
    """An amount in minor units."""

    amount: int
    currency: str


class PriceChange(View):
    """The price moved since the customer last changed the line."""

    previous: MoneyView


class ItemView(View):
    """A line at today's price. `problem` is `unavailable` or `insufficient_stock` when it cannot be sold."""

    id: UUID
    variant_id: UUID
    product_id: UUID
    seller_id: UUID | None
    sku: str
    product_name: str
    variant_description: str
    unit_price: MoneyView
    price_change: PriceChange | None
    quantity: int
    line_total: MoneyView = Field(description="price times quantity, before discount and tax")
    discount: MoneyView
    tax: MoneyView
    lead_time_days: int
    customization: dict[str, str] | None
    problem: str | None
    added_at: datetime


class CouponView(View):
    """The coupon of the cart; `problem` is the code of what keeps it from being used."""

    code: str
    discount: MoneyView
    free_shipping: bool
    problem: str | None


class MethodView(View):
    """A way to ship this cart to its address."""

    id: UUID
    name: str
    provider: str
    price: MoneyView
    estimated_days: int


class MethodsView(View):
    """The ways to ship this cart to its address; none where we do not deliver."""

    methods: list[MethodView]


class CartView(View):
    """A cart. When `is_final`, `total` is what checkout charges; else `problems` says what is missing.

    `shipping` is absent until address and method are known, `tax` until the address is.
    """

    id: UUID
    status: str
    customer_id: UUID | None
    order_id: UUID | None
    email: str | None
    currency: str
    items: list[ItemView]
    coupon: CouponView | None
    shipping_address: dict[str, str] | None
    billing_address: dict[str, str] | None
    shipping_method_id: UUID | None
    shipping_method: MethodView | None
    subtotal: MoneyView
    discount: MoneyView
    shipping: MoneyView | None
    tax: MoneyView | None
    total: MoneyView
    is_final: bool
    problems: list[str]
    version: int


class CreatedCartView(CartView):
    """A new cart; a guest's comes with its token, which is told this once."""

    cart_token: str | None = None


def method_view(method: Method, currency: str) -> MethodView:
    """A shipping method."""
    return MethodView(
        id=method.id,
        name=method.name,
        provider=method.provider,
        price=MoneyView(amount=method.price_amount, currency=currency),
        estimated_days=method.estimated_days,
    )


class Pricing:
    """The parts of a price as far as they are known, and the codes of what is missing."""

    def __init__(self) -> None:
        self.method: Method | None = None
        self.coupon: CouponWorth | None = None
        self.coupon_problem: str | None = None
        self.problems: list[str] = []

    async def gather(self, basket: Basket, buyer: Buyer, quotes: Quotes) -> None:
        """Ask what is not known; a neighbour that is away leaves a gap, never an error."""
        await self.find_method(basket, quotes)
        question = checkout.coupon_question(basket, buyer, self.shipping_amount)
        if question is not None and basket.lines:
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
        question = checkout.rate_question(basket)
        if question is None or not basket.lines or basket.shipping_method_id is None:
            return
        try:
            self.method = checkout.chosen(await quotes.rates(question), basket.shipping_method_id)
        except (PricingUnavailable, checkout.NoShippingZone, checkout.ShippingMethodUnavailable) as e:
            self.problems.append(e.code)


async def show(
    response: Response, basket: Basket, buyer: Buyer, quotes: Quotes, taxes: Taxes
) -> CartView:
    """The view of a cart. It may ask neighbours: no transaction may be open."""
    etag.show(response, basket.version)
    pricing = Pricing()
    await pricing.gather(basket, buyer, quotes)
    costs = checkout.price(basket, pricing.method, pricing.coupon, taxes)
    problems = [*_problems_of(basket, buyer), *pricing.problems]

    def money(amount: int) -> MoneyView:
        return MoneyView(amount=amount, currency=basket.currency)

    return CartView(
        id=basket.id,
        status=basket.status,
        customer_id=basket.customer_id,
        order_id=basket.order_id,
        email=basket.email,
        currency=basket.currency,
        items=_items(basket, costs),
        coupon=_coupon(basket, pricing, costs),
        shipping_address=basket.shipping_address,
        billing_address=basket.billing_address,
        shipping_method_id=basket.shipping_method_id,
        shipping_method=pricing.method and method_view(pricing.method, basket.currency),
        subtotal=money(costs.subtotal_amount),
        discount=money(costs.discount_amount),
        shipping=money(costs.shipping_amount) if pricing.method else None,
        tax=money(costs.tax_amount) if basket.shipping_address else None,
        total=money(costs.total_amount),
        is_final=not problems,
        problems=problems,
        version=basket.version,
    )


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
    def money(amount: int) -> MoneyView:
        return MoneyView(amount=amount, currency=currency)

    problem = "insufficient_stock" if is_short else None
    if not line.is_available(currency):
        problem = "unavailable"
    has_moved = line.unit_price_amount != line.seen_price_amount
    return ItemView(
        id=line.id,
        variant_id=line.variant_id,
        product_id=line.product_id,
        seller_id=line.offer.seller_id if line.offer else None,
        sku=line.sku,
        product_name=line.offer.product_name if line.offer else line.product_name,
        variant_description=line.offer.variant_description
        if line.offer
        else line.variant_description,
        unit_price=money(line.unit_price_amount),
        price_change=PriceChange(previous=money(line.seen_price_amount)) if has_moved else None,
        quantity=line.quantity,
        line_total=money(amounts.amount),
        discount=money(amounts.discount_amount),
        tax=money(amounts.tax_amount),
        lead_time_days=line.offer.lead_time_days if line.offer else 0,
        customization=dict(line.customization) if line.customization else None,
        problem=problem,
        added_at=line.added_at,
    )


def _coupon(basket: Basket, pricing: Pricing, costs: Cost) -> CouponView | None:
    if basket.coupon_code is None:
        return None
    return CouponView(
        code=pricing.coupon.code if pricing.coupon else basket.coupon_code,
        discount=MoneyView(amount=costs.discount_amount, currency=basket.currency),
        free_shipping=bool(pricing.coupon and pricing.coupon.free_shipping),
        problem=pricing.coupon_problem,
    )


def methods_view(methods: Sequence[Method], currency: str) -> MethodsView:
    """The shipping methods offered."""
    return MethodsView(methods=[method_view(method, currency) for method in methods])
