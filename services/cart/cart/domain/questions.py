"""What a price depends on outside the cart: questions to shipping and promotions, with answers."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from cart.domain.basket import Basket


@dataclass(frozen=True, slots=True)
class RateQuestion:
    """All that shipping rates depend on; equal questions have equal answers for a while."""

    country: str
    state: str
    postal_code: str
    currency: str
    subtotal_amount: int
    weight_grams: int = 0


@dataclass(frozen=True, slots=True)
class Method:
    """A shipping method with its price for one question."""

    id: UUID
    name: str
    provider: str
    price_amount: int
    estimated_days: int


@dataclass(frozen=True, slots=True)
class CouponLine:
    """A line as a coupon sees it: minor units before any discount."""

    variant_id: UUID
    product_id: UUID
    category_ids: tuple[UUID, ...]
    amount: int


@dataclass(frozen=True, slots=True)
class CouponQuestion:
    """All that a coupon's worth depends on, as far as the cart knows."""

    code: str
    currency: str
    customer_id: UUID | None
    redeemer: str | None
    lines: tuple[CouponLine, ...]
    shipping_amount: int


@dataclass(frozen=True, slots=True)
class CouponWorth:
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


def rate_question(basket: Basket) -> RateQuestion | None:
    """Say what to ask shipping; None without an address. The value is that before discounts."""
    to = basket.shipping_address
    if to is None:
        return None
    return RateQuestion(
        country=to["country"],
        state=to.get("state", ""),
        postal_code=to.get("postal_code", ""),
        currency=basket.currency,
        subtotal_amount=basket.subtotal_amount,
    )


def coupon_question(basket: Basket, buyer: Buyer, shipping_amount: int) -> CouponQuestion | None:
    """Say what to ask promotions; None without a coupon."""
    if basket.coupon_code is None:
        return None
    return CouponQuestion(
        code=basket.coupon_code,
        currency=basket.currency,
        customer_id=buyer.customer_id,
        redeemer=buyer.redeemer,
        lines=tuple(
            CouponLine(
                line.variant_id,
                line.product_id,
                line.offer.category_ids if line.offer else (),
                line.amount,
            )
            for line in basket.lines
        ),
        shipping_amount=shipping_amount,
    )
