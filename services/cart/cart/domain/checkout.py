"""The lock: what an order asks of a cart, what it refuses, and the frozen answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from cart.domain.basket import Basket, CurrencyMismatch, Line
from cart.domain.pricing import Cost, Goods, LineCost, cost
from cart.domain.questions import Buyer, CouponWorth, Method, RateQuestion, rate_question
from cart.domain.tax import Taxes
from chassis.errors import Invalid, Refused
from contracts.money import Money


class EmailMissing(Invalid):
    """A guest must leave an e-mail address."""

    code = "email_missing"


class AddressMissing(Invalid):
    """Say where the parcel goes."""

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
class Purchase:
    """What an order asks for in its one request; None leaves what the cart says."""

    order_id: UUID
    expected_total: Money | None = None
    email: str | None = None
    shipping_address: dict[str, str] | None = None
    billing_address: dict[str, str] | None = None
    shipping_method_id: UUID | None = None
    coupon_code: str | None = None

    def apply_to(self, basket: Basket) -> Basket:
        """Give the cart as it would be after the request."""
        return replace(
            basket,
            email=self.email or basket.email,
            shipping_address=self.shipping_address or basket.shipping_address,
            billing_address=self.billing_address or basket.billing_address,
            shipping_method_id=self.shipping_method_id or basket.shipping_method_id,
            coupon_code=self.coupon_code or basket.coupon_code,
        )


def chosen(methods: Sequence[Method], method_id: UUID) -> Method:
    """Find the chosen method among those offered."""
    if not methods:
        raise NoShippingZone
    for method in methods:
        if method.id == method_id:
            return method
    raise ShippingMethodUnavailable


def price(basket: Basket, method: Method | None, coupon: CouponWorth | None, taxes: Taxes) -> Cost:
    """Price the cart as it stands; without a method no shipping, without an address no tax."""
    to = basket.shipping_address
    is_free = coupon is not None and coupon.free_shipping
    return cost(
        [
            Goods(line.amount, line.offer.category_ids if line.offer else ())
            for line in basket.lines
        ],
        discount=coupon.discount_amount if coupon else 0,
        shipping=0 if method is None or is_free else method.price_amount,
        taxes=taxes.at(to["country"], to.get("state", "")) if to else None,
    )


def must_be_complete(basket: Basket, buyer: Buyer) -> tuple[RateQuestion, UUID]:
    """Refuse a cart that cannot become an order; gives what to ask shipping and the method."""
    basket.must_be_active()
    basket.must_be_sellable()
    if buyer.customer_id is None and buyer.email is None:
        raise EmailMissing
    question = rate_question(basket)
    if question is None:
        raise AddressMissing
    if basket.shipping_method_id is None:
        raise ShippingMethodMissing
    return question, basket.shipping_method_id


def must_cost(total_amount: int, currency: str, expected: Money | None) -> None:
    """Refuse when the customer expects to pay something else."""
    if expected is None:
        return
    if expected.currency != currency:
        raise CurrencyMismatch
    if expected.amount != total_amount:
        raise TotalChanged(total={"amount": total_amount, "currency": currency})


def frozen(
    basket: Basket,
    line_ids: Sequence[UUID],
    buyer: Buyer,
    *,
    method: Method,
    coupon: CouponWorth | None,
    costs: Cost,
) -> dict[str, Any]:
    """Write down as JSON all that an order copies: what was agreed, whatever changes afterwards.

    The order's lines get ids of their own: the same cart may be given back and ordered again.
    """
    waived = method.price_amount - costs.shipping_amount
    return {
        "cart_id": str(basket.id),
        "customer_id": _text(buyer.customer_id),
        "email": buyer.email,
        "currency": basket.currency,
        "lines": [
            {"line_id": str(line_id), **_frozen_line(line, amounts)}
            for line_id, line, amounts in zip(line_ids, basket.lines, costs.lines, strict=True)
        ],
        "subtotal_amount": costs.subtotal_amount,
        "discount_amount": costs.discount_amount,
        "shipping_amount": costs.shipping_amount,
        "tax_amount": costs.tax_amount,
        "total_amount": costs.total_amount,
        "coupon": coupon
        and {
            "coupon_id": str(coupon.coupon_id),
            "code": coupon.code,
            "discount_amount": costs.discount_amount + waived,
        },
        "redeemer": buyer.redeemer,
        "shipping_method": {
            "id": str(method.id),
            "name": method.name,
            "provider": method.provider,
            "estimated_days": method.estimated_days,
        },
        "ship_to": basket.shipping_address,
        "bill_to": basket.billing_address or basket.shipping_address,
    }


def _frozen_line(line: Line, amounts: LineCost) -> Mapping[str, Any]:
    offer = line.offer
    return {
        "item_id": str(line.id),
        "variant_id": str(line.variant_id),
        "product_id": str(line.product_id),
        "seller_id": _text(offer.seller_id if offer else None),
        "sku": line.sku,
        "product_name": offer.product_name if offer else line.product_name,
        "variant_description": offer.variant_description if offer else line.variant_description,
        "unit_price_amount": line.unit_price_amount,
        "quantity": line.quantity,
        "discount_amount": amounts.discount_amount,
        "tax_amount": amounts.tax_amount,
        "total_amount": amounts.total_amount,
        "lead_time_days": offer.lead_time_days if offer else 0,
        "customization": line.customization,
    }


def _text(identifier: UUID | None) -> str | None:
    return str(identifier) if identifier is not None else None
