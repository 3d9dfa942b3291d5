"""What carts look like on the wire: addresses in, carts and shipping methods out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from cart.domain.questions import Method
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
    """The coupon of the cart; `problem` is the code of what keeps it from being used.

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

    When `is_final`, `total` is what checkout charges; else `problems` says what stands in its way.
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


def money(amount: int, currency: str) -> MoneyView:
    """Show an amount."""
    return MoneyView(amount=amount, currency=currency)


def method_view(method: Method, currency: str) -> MethodView:
    """Show a shipping method."""
    return MethodView(
        id=method.id,
        name=method.name,
        provider=method.provider,
        price=money(method.price_amount, currency),
        estimated_days=method.estimated_days,
    )


def methods_view(methods: Sequence[Method], currency: str) -> MethodsView:
    """Show the shipping methods offered."""
    return MethodsView(methods=[method_view(method, currency) for method in methods])
