"""What clients see of a cart: at today's price while it is open, as agreed once it is locked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from cart.clients import PricingUnavailable, Quotes
from cart.domain import checkout
from cart.domain.cart import Cart, Line
from cart.domain.checkout import (
    Buyer,
    CouponQuote,
    ShippingMethod,
    coupon_request,
    rate_request,
)
from cart.domain.pricing import Cost, LineCost, TaxTable
from chassis.errors import Problem
from chassis.wire import View
from contracts.address import Address
from contracts.cart import LockedCart, LockedLine

# What a locked line and its view have in common.
AGREED = {
    "variant_id", "product_id", "seller_id", "sku", "product_name", "variant_description",
    "quantity", "lead_time_days", "customization",
}  # fmt: skip


class MoneyView(View):
    """An amount in minor units."""

    amount: int
    currency: str


class PriceChange(View):
    """The price moved since the customer last changed the line."""

    previous: MoneyView


class ItemView(View):
    """A line at today's price; `problem` is `unavailable` or `insufficient_stock`, if any."""

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
    """The coupon of the cart; `problem` is the code of the refusal, if promotions refuses it.

    `discount` is all that it saves, on goods and shipping.
    """

    code: str
    discount: MoneyView
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
    """A cart; once it is locked, as it was agreed.

    When `is_final`, `total` is what checkout charges; else `problems` lists what prevents checkout.
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
    shipping_address: Address | None
    billing_address: Address | None
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
    """A new cart; a guest's comes with its token, which no later answer repeats."""

    cart_token: str | None = None


def money(amount: int, currency: str) -> MoneyView:
    return MoneyView(amount=amount, currency=currency)


def method_view(method: ShippingMethod, currency: str) -> MethodView:
    return MethodView(
        id=method.id,
        name=method.name,
        provider=method.provider,
        price=money(method.price_amount, currency),
        estimated_days=method.estimated_days,
    )


def methods_view(methods: Sequence[ShippingMethod], currency: str) -> MethodsView:
    return MethodsView(methods=[method_view(method, currency) for method in methods])


class CartQuotes:
    """The quotes for a cart as far as peers gave them, and the codes of what is missing."""

    def __init__(self) -> None:
        self.method: ShippingMethod | None = None
        self.coupon: CouponQuote | None = None
        self.coupon_problem: str | None = None
        self.problems: list[str] = []

    async def gather(self, cart: Cart, buyer: Buyer, quotes: Quotes) -> None:
        """Request what is not cached; an unavailable peer leaves a gap, never an error."""
        if not cart.lines:
            return
        await self.find_method(cart, quotes)
        request = coupon_request(cart, buyer, self.shipping_amount)
        if request is not None:
            try:
                self.coupon = await quotes.recent_coupon(request)
            except Problem as refusal:
                self.coupon_problem = refusal.code
                self.problems.append(refusal.code)

    @property
    def shipping_amount(self) -> int:
        """What shipping costs before any coupon; 0 without a method."""
        return self.method.price_amount if self.method else 0

    async def find_method(self, cart: Cart, quotes: Quotes) -> None:
        """Find the chosen method among those offered for the address."""
        request = rate_request(cart)
        if request is None or cart.shipping_method_id is None:
            return
        try:
            methods = await quotes.rates(request, cart.shipping_method_id)
            self.method = checkout.choose_method(methods, cart.shipping_method_id)
        except (
            PricingUnavailable,
            checkout.NoShippingZone,
            checkout.ShippingMethodUnavailable,
        ) as refusal:
            self.problems.append(refusal.code)


async def present(cart: Cart, buyer: Buyer, quotes: Quotes, taxes: TaxTable) -> CartView:
    """The view of a cart. Calls peers, so no transaction may be open."""
    if cart.locked is not None:
        return _present_locked(cart, cart.locked)
    known = CartQuotes()
    await known.gather(cart, buyer, quotes)
    costs = checkout.price_cart(cart, known.method, known.coupon, taxes)
    problems = [*_problems_of(cart, buyer), *known.problems]
    currency = cart.currency
    return CartView(
        **_fields_of_customer(cart),
        items=_items(cart, costs),
        coupon=_coupon(cart, known, costs),
        shipping_method=method_view(known.method, currency) if known.method else None,
        subtotal=money(costs.subtotal_amount, currency),
        discount=money(costs.discount_amount, currency),
        shipping=money(costs.shipping_amount, currency) if known.method else None,
        tax=money(costs.tax_amount, currency) if cart.shipping_address else None,
        total=money(costs.total_amount, currency),
        is_final=not problems,
        problems=problems,
    )


def _fields_of_customer(cart: Cart) -> dict[str, Any]:
    """The fields that are the same before and after the lock."""
    return {
        "id": cart.id,
        "status": cart.status,
        "customer_id": cart.customer_id,
        "order_id": cart.order_id,
        "email": cart.email,
        "currency": cart.currency,
        "shipping_address": cart.shipping_address,
        "billing_address": cart.billing_address,
        "shipping_method_id": cart.shipping_method_id,
        "version": cart.version,
    }


def _problems_of(cart: Cart, buyer: Buyer) -> list[str]:
    try:
        checkout.ensure_complete(cart, buyer)
    except Problem as refusal:
        return [refusal.code]
    return []


def _items(cart: Cart, costs: Cost) -> list[ItemView]:
    short = cart.short_variants(cart.lines)
    return [
        _item(line, amounts, cart.currency, is_short=line.variant_id in short)
        for line, amounts in zip(cart.lines, costs.lines, strict=True)
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


def _coupon(cart: Cart, known: CartQuotes, costs: Cost) -> CouponView | None:
    if cart.coupon_code is None:
        return None
    coupon = known.coupon
    waived = known.shipping_amount - costs.shipping_amount
    return CouponView(
        code=coupon.code if coupon else cart.coupon_code,
        discount=money(costs.discount_amount + waived, cart.currency),
        problem=known.coupon_problem,
    )


def _present_locked(cart: Cart, locked: LockedCart) -> CartView:
    """The view of a cart as it was locked; prices of today do not change it."""
    currency = cart.currency
    added_at = {line.id: line.added_at for line in cart.lines}
    method, coupon = locked.shipping_method, locked.coupon
    return CartView(
        **_fields_of_customer(cart),
        items=[
            _locked_item(line, currency, added_at=added_at[line.item_id]) for line in locked.lines
        ],
        coupon=coupon
        and CouponView(
            code=coupon.code, discount=money(coupon.discount_amount, currency), problem=None
        ),
        shipping_method=MethodView(**dict(method), price=money(locked.shipping_amount, currency)),
        subtotal=money(locked.subtotal_amount, currency),
        discount=money(locked.discount_amount, currency),
        shipping=money(locked.shipping_amount, currency),
        tax=money(locked.tax_amount, currency),
        total=money(locked.total_amount, currency),
        is_final=True,
        problems=[],
    )


def _locked_item(line: LockedLine, currency: str, *, added_at: datetime) -> ItemView:
    return ItemView(
        **line.model_dump(include=AGREED),
        id=line.item_id,
        unit_price=money(line.unit_price_amount, currency),
        price_change=None,
        line_total=money(line.unit_price_amount * line.quantity, currency),
        discount=money(line.discount_amount, currency),
        tax=money(line.tax_amount, currency),
        problem=None,
        added_at=added_at,
    )
