"""What cart and orders agree on over HTTP: the cart as it was locked for an order."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from contracts.address import Address


class _Agreed(BaseModel):
    # An older orders ignores what a newer cart adds.
    model_config = ConfigDict(extra="ignore", frozen=True)


class LockedLine(_Agreed):
    """A line at its final price. Amounts are minor units of the cart's currency, for all pieces."""

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


class LockedCoupon(_Agreed):
    """The coupon to redeem; the discount includes waived shipping."""

    coupon_id: UUID
    code: str
    discount_amount: int


class LockedShippingMethod(_Agreed):
    """The chosen way of shipping."""

    id: UUID
    name: str
    provider: str
    estimated_days: int | None


class LockedCart(_Agreed):
    """Everything an order copies from its cart: the agreement, whatever changes afterwards.

    Amounts are minor units of `currency`. `email` is None where the customer's account has one;
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
