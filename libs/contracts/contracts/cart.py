"""The HTTP contract between cart and orders: the cart as it was locked for an order."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from contracts.address import Address


class _HttpPart(BaseModel):
    # An older release of orders ignores the fields that a newer cart adds.
    model_config = ConfigDict(extra="ignore", frozen=True)


class LockedLine(_HttpPart):
    """A line at its final price. Amounts are in minor units and cover the whole quantity."""

    line_id: UUID
    item_id: UUID
    variant_id: UUID
    product_id: UUID
    seller_id: UUID | None
    sku: str
    product_name: str
    variant_description: str
    unit_price_amount: int
    quantity: int
    discount_amount: int
    tax_amount: int
    total_amount: int
    lead_time_days: int
    customization: dict[str, Any] | None


class LockedCoupon(_HttpPart):
    """The coupon to redeem; the discount includes waived shipping."""

    coupon_id: UUID
    code: str
    discount_amount: int


class LockedShippingMethod(_HttpPart):
    """The chosen shipping method."""

    id: UUID
    name: str
    provider: str
    estimated_days: int | None


class LockedCart(_HttpPart):
    """Everything that an order copies from its cart; later changes do not affect the order.

    Amounts are in minor units of `currency`. `email` is None for a customer whose account has one;
    `redeemer` identifies the customer or guest to promotions.
    """

    cart_id: UUID
    customer_id: UUID | None
    email: str | None
    currency: str
    lines: tuple[LockedLine, ...]
    subtotal_amount: int
    discount_amount: int
    shipping_amount: int
    tax_amount: int
    total_amount: int
    coupon: LockedCoupon | None
    redeemer: str | None
    shipping_method: LockedShippingMethod
    ship_to: Address
    bill_to: Address
