"""Checkout: requests for quotes, the order's purchase, and the cart as it is locked."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from cart.domain.cart import Cart, CurrencyMismatch, Line
from cart.domain.pricing import Cost, Goods, LineCost, TaxTable, compute_cost
from chassis.errors import Invalid, Refused
from contracts.address import Address
from contracts.cart import LockedCart, LockedCoupon, LockedLine, LockedShippingMethod
from contracts.money import Money


class EmailMissing(Invalid):
    """A guest must leave an e-mail address."""

    code = "email_missing"


class AddressMissing(Invalid):
    """The cart has no shipping address."""

    code = "address_missing"


class ShippingMethodMissing(Invalid):
    """Choose a shipping method."""

    code = "shipping_method_missing"


class NoShippingZone(Invalid):
    """We do not deliver to this address."""

    code = "no_shipping_zone"


class ShippingMethodUnavailable(Invalid):
    """The shipping method is not offered for this cart and address; choose another."""

    code = "shipping_method_unavailable"


class TotalChanged(Refused):
    """The total is not what was expected; `total` is what it is now. Nothing was locked."""

    code = "total_changed"


@dataclass(frozen=True, slots=True)
class RateRequest:
    """All that shipping rates depend on; equal requests get equal answers for a while.

    `subtotal_amount` is the value of the goods before discounts.
    """

    country: str
    state: str
    postal_code: str
    currency: str
    subtotal_amount: int
    weight_grams: int = 0


@dataclass(frozen=True, slots=True)
class ShippingMethod:
    """A shipping method with its price for one request."""

    id: UUID
    name: str
    provider: str
    price_amount: int
    estimated_days: int


@dataclass(frozen=True, slots=True)
class CouponLine:
    """A line as promotions needs it: minor units before any discount."""

    variant_id: UUID
    product_id: UUID
    category_ids: tuple[UUID, ...]
    amount: int


@dataclass(frozen=True, slots=True)
class CouponRequest:
    """All that a coupon's discount depends on, as far as the cart knows."""

    code: str
    currency: str
    customer_id: UUID | None
    redeemer: str | None
    lines: tuple[CouponLine, ...]
    shipping_amount: int


@dataclass(frozen=True, slots=True)
class CouponQuote:
    """What a coupon takes off the goods, and whether it pays for the shipping."""

    coupon_id: UUID
    code: str
    discount_amount: int
    free_shipping: bool


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys: a signed-in customer, or a guest known by an e-mail alone."""

    customer_id: UUID | None = None
    email: str | None = None

    @property
    def redeemer(self) -> str | None:
        """The name under which coupon uses are counted; None while the guest is unknown."""
        if self.customer_id is not None:
            return f"customer:{self.customer_id}"
        if self.email is not None:
            return f"guest:{hashlib.sha256(self.email.lower().encode()).hexdigest()}"
        return None


@dataclass(frozen=True, slots=True)
class Purchase:
    """What an order requests of a cart; None leaves the cart's own value."""

    order_id: UUID
    expected_total: Money | None = None
    email: str | None = None
    shipping_address: Address | None = None
    billing_address: Address | None = None
    shipping_method_id: UUID | None = None
    coupon_code: str | None = None

    def apply_to(self, cart: Cart) -> Cart:
        """The cart as it would be after the request."""
        return replace(
            cart,
            email=self.email or cart.email,
            shipping_address=self.shipping_address or cart.shipping_address,
            billing_address=self.billing_address or cart.billing_address,
            shipping_method_id=self.shipping_method_id or cart.shipping_method_id,
            coupon_code=self.coupon_code or cart.coupon_code,
        )


def rate_request(cart: Cart) -> RateRequest | None:
    """What shipping needs to quote rates for the cart; None without an address."""
    to = cart.shipping_address
    if to is None:
        return None
    return RateRequest(
        country=to.country,
        state=to.state,
        postal_code=to.postal_code,
        currency=cart.currency,
        subtotal_amount=cart.subtotal_amount,
    )


def coupon_request(cart: Cart, buyer: Buyer, shipping_amount: int) -> CouponRequest | None:
    """What promotions needs to evaluate the cart's coupon; None without a coupon."""
    if cart.coupon_code is None:
        return None
    return CouponRequest(
        code=cart.coupon_code,
        currency=cart.currency,
        customer_id=buyer.customer_id,
        redeemer=buyer.redeemer,
        lines=tuple(
            CouponLine(line.variant_id, line.product_id, _categories(line), line.amount)
            for line in cart.lines
        ),
        shipping_amount=shipping_amount,
    )


def choose_method(methods: Sequence[ShippingMethod], method_id: UUID) -> ShippingMethod:
    """The method with this id among those offered for the address."""
    if not methods:
        raise NoShippingZone
    for method in methods:
        if method.id == method_id:
            return method
    raise ShippingMethodUnavailable


def price_cart(
    cart: Cart, method: ShippingMethod | None, coupon: CouponQuote | None, taxes: TaxTable
) -> Cost:
    """Price the cart as it stands; without a method no shipping, without an address no tax."""
    to = cart.shipping_address
    is_free = coupon is not None and coupon.free_shipping
    return compute_cost(
        [Goods(line.amount, _categories(line)) for line in cart.lines],
        discount=coupon.discount_amount if coupon else 0,
        shipping=0 if method is None or is_free else method.price_amount,
        taxes=taxes.at(to.country, to.state) if to else None,
    )


def ensure_complete(cart: Cart, buyer: Buyer) -> tuple[RateRequest, UUID]:
    """Refuse a cart that cannot become an order; returns the rate request and the method's id."""
    cart.ensure_active()
    cart.ensure_sellable()
    if buyer.customer_id is None and buyer.email is None:
        raise EmailMissing
    request = rate_request(cart)
    if request is None:
        raise AddressMissing
    if cart.shipping_method_id is None:
        raise ShippingMethodMissing
    return request, cart.shipping_method_id


def ensure_total(total_amount: int, currency: str, expected: Money | None) -> None:
    """Refuse when the customer expects to pay something else."""
    if expected is None:
        return
    if expected.currency != currency:
        raise CurrencyMismatch
    if expected.amount != total_amount:
        raise TotalChanged(total={"amount": total_amount, "currency": currency})


def lock_snapshot(
    cart: Cart,
    line_ids: Sequence[UUID],
    buyer: Buyer,
    *,
    method: ShippingMethod,
    coupon: CouponQuote | None,
    costs: Cost,
) -> LockedCart:
    """Everything an order copies from its cart; later changes of the cart do not alter it.

    The order's lines get ids of their own: the same cart may be unlocked and ordered again.
    Raises AddressMissing for a cart without an address.
    """
    if cart.shipping_address is None:
        raise AddressMissing
    waived = method.price_amount - costs.shipping_amount
    return LockedCart(
        cart_id=cart.id,
        customer_id=buyer.customer_id,
        email=buyer.email,
        currency=cart.currency,
        lines=tuple(
            _locked_line(line_id, line, amounts)
            for line_id, line, amounts in zip(line_ids, cart.lines, costs.lines, strict=True)
        ),
        subtotal_amount=costs.subtotal_amount,
        discount_amount=costs.discount_amount,
        shipping_amount=costs.shipping_amount,
        tax_amount=costs.tax_amount,
        total_amount=costs.total_amount,
        coupon=coupon
        and LockedCoupon(
            coupon_id=coupon.coupon_id,
            code=coupon.code,
            discount_amount=costs.discount_amount + waived,
        ),
        redeemer=buyer.redeemer,
        shipping_method=LockedShippingMethod(
            id=method.id,
            name=method.name,
            provider=method.provider,
            estimated_days=method.estimated_days,
        ),
        ship_to=cart.shipping_address,
        bill_to=cart.billing_address or cart.shipping_address,
    )


def _locked_line(line_id: UUID, line: Line, amounts: LineCost) -> LockedLine:
    offer = line.offer
    return LockedLine(
        line_id=line_id,
        item_id=line.id,
        variant_id=line.variant_id,
        product_id=line.product_id,
        seller_id=offer.seller_id if offer else None,
        sku=line.sku,
        product_name=offer.product_name if offer else line.product_name,
        variant_description=offer.variant_description if offer else line.variant_description,
        unit_price_amount=line.unit_price_amount,
        quantity=line.quantity,
        discount_amount=amounts.discount_amount,
        tax_amount=amounts.tax_amount,
        total_amount=amounts.total_amount,
        lead_time_days=offer.lead_time_days if offer else 0,
        customization=dict(line.customization) if line.customization is not None else None,
    )


def _categories(line: Line) -> tuple[UUID, ...]:
    return line.offer.category_ids if line.offer else ()
