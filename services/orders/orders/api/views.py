"""What clients see of orders, and what they send to make one."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import EmailStr, Field, model_validator
from sqlalchemy import RowMapping

from chassis.wire import Body, Id, Line, MoneyBody, Name, OptionalLine, SafeText, View
from contracts.money import Money
from orders.domain.checkout import Checkout
from orders.domain.order import Order, OrderHistory, OrderLine, OrderShipment, Stage

ProviderToken = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+$")]
Email = Annotated[EmailStr, Field(max_length=255)]


class AddressBody(Body):
    """Where a parcel goes or an invoice belongs."""

    recipient_name: Name
    line1: Line
    line2: OptionalLine = ""
    city: Name
    state: Annotated[SafeText, Field(max_length=100)] = ""
    postal_code: Annotated[SafeText, Field(max_length=20)] = ""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    phone: Annotated[SafeText, Field(max_length=20)] = ""


class PaymentBody(Body):
    """How the customer pays: a token of the provider or a saved method, never a card number."""

    method: Literal["card", "paypal", "wallet", "cod", "bank_transfer"]
    token: ProviderToken | None = None
    saved_method_id: Id | None = None

    @model_validator(mode="after")
    def _has_means(self) -> "PaymentBody":
        needs = self.method in ("card", "paypal", "wallet")
        if needs and (self.token is None) == (self.saved_method_id is None):
            raise ValueError("give either token or saved_method_id")
        digits = "".join(c for c in self.token or "" if c.isdigit())
        if len(digits) >= 13 and digits == (self.token or "").replace("-", ""):  # noqa: PLR2004
            raise ValueError("a card number is not accepted")
        return self


class CheckoutBody(Body):
    """A checkout: the cart, how it is paid, and whatever the cart does not hold yet."""

    cart_id: Id
    payment: PaymentBody
    expected_total: MoneyBody | None = None
    email: Email | None = None
    shipping_address: AddressBody | None = None
    billing_address: AddressBody | None = None
    shipping_method_id: Id | None = None
    coupon_code: Annotated[SafeText, Field(min_length=1, max_length=50)] | None = None


class CancellationBody(Body):
    """Why an order is cancelled, in the customer's words."""

    note: Annotated[SafeText, Field(max_length=500)] = ""


class LineView(View):
    """One line of an order; amounts in minor units, for all its pieces."""

    id: UUID
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
    quantity_shipped: int = 0
    quantity_returned: int = 0


class ShipmentView(View):
    """A parcel of an order."""

    shipment_id: UUID
    status: str
    carrier: str | None
    tracking_number: str | None


class PaymentView(View):
    """How an order is paid; on `action_required` `/v1/payments/{id}` says what must be done."""

    id: UUID | None
    method: str
    status: str
    brand: str | None
    last_four: str | None
    reference: str | None
    action_required: bool
    captured_amount: int
    refunded_amount: int


class Cancellation(View):
    """How far a cancellation is."""

    state: Literal["requested", "done", "refused"] | None
    reason: str | None


class OrderView(View):
    """An order as its customer sees it."""

    id: UUID
    order_number: str
    cart_id: UUID
    status: str
    currency: str
    subtotal_amount: int
    discount_amount: int
    shipping_amount: int
    tax_amount: int
    total: Money
    email: str
    ship_to: dict[str, Any]
    bill_to: dict[str, Any]
    shipping_method: dict[str, Any]
    coupon_code: str | None
    payment: PaymentView
    cancellation: Cancellation
    lines: list[LineView]
    shipments: list[ShipmentView]
    placed_at: datetime
    confirmed_at: datetime | None
    cancelled_at: datetime | None
    version: int
    progress_url: str
    order_token: str | None = None

    @classmethod
    def of(
        cls,
        order: Order,
        lines: list[OrderLine],
        shipments: list[OrderShipment],
        stage: str | None = None,
    ) -> "OrderView":
        """The view of a stored order."""
        columns = {
            name: getattr(order, name)
            for name in cls.model_fields
            if name in Order.__table__.columns and name != "version"
        }
        return cls(
            **columns,
            version=order.version,
            total=Money(amount=order.total_amount, currency=order.currency),
            email=order.contact_email,
            payment=PaymentView(
                id=order.payment_id,
                method=order.payment_method,
                status=order.payment_status,
                brand=order.payment_brand,
                last_four=order.payment_last_four,
                reference=order.payment_reference,
                action_required=stage == Stage.AWAITING_CUSTOMER,
                captured_amount=order.captured_amount,
                refunded_amount=order.refunded_amount,
            ),
            cancellation=Cancellation(
                state=order.cancellation_state,
                reason=order.cancellation_reason,
            ),
            lines=[LineView.model_validate(line) for line in lines],
            shipments=[ShipmentView.model_validate(each) for each in shipments],
            progress_url=f"/v1/orders/{order.id}/progress",
        )

    def after(self, now: RowMapping) -> "OrderView":
        """This order with what has moved since, as `store.checkouts.get_progress` gives it."""
        return self.model_copy(
            update={
                "status": now["status"],
                "payment": PaymentView(
                    id=now["payment_id"],
                    method=self.payment.method,
                    status=now["payment_status"],
                    brand=now["payment_brand"],
                    last_four=now["payment_last_four"],
                    reference=now["payment_reference"],
                    action_required=now["stage"] == Stage.AWAITING_CUSTOMER,
                    captured_amount=now["captured_amount"],
                    refunded_amount=now["refunded_amount"],
                ),
                "cancellation": Cancellation(
                    state=now["cancellation_state"], reason=now["cancellation_reason"]
                ),
                "confirmed_at": now["confirmed_at"],
                "cancelled_at": now["cancelled_at"],
                "version": now["version"],
            }
        )

    @classmethod
    def placed(
        cls, order: Checkout, columns: dict[str, Any], lines: list[dict[str, Any]]
    ) -> "OrderView":
        """The view of an order just placed, without reading it back."""
        return cls(
            id=order.order_id,
            order_number=order.order_number,
            cart_id=order.cart_id,
            status=order.status,
            currency=order.currency,
            shipping_amount=order.shipping_amount,
            total=order.money(order.total_amount),
            email=columns["contact_email"],
            **{
                name: columns[name]
                for name in (
                    "subtotal_amount",
                    "discount_amount",
                    "tax_amount",
                    "ship_to",
                    "bill_to",
                    "shipping_method",
                    "coupon_code",
                )
            },
            payment=PaymentView(
                id=None,
                method=order.payment_method,
                status=order.payment_status,
                brand=None,
                last_four=None,
                reference=None,
                action_required=False,
                captured_amount=0,
                refunded_amount=0,
            ),
            cancellation=Cancellation(state=None, reason=None),
            lines=[LineView(**line) for line in lines],
            shipments=[],
            placed_at=order.placed_at,
            confirmed_at=None,
            cancelled_at=None,
            version=order.version,
            progress_url=f"/v1/orders/{order.order_id}/progress",
        )


class OrderSummary(View):
    """An order in a list."""

    id: UUID
    order_number: str
    status: str
    payment_status: str
    currency: str
    total_amount: int
    placed_at: datetime


class HistoryView(View):
    """A change of an order's status."""

    from_status: str | None
    to_status: str
    at: datetime
    by: str
    reason: str | None

    @classmethod
    def listed(cls, rows: list[OrderHistory]) -> "list[HistoryView]":
        """Several of them."""
        return [cls.model_validate(row) for row in rows]
