"""Messages of payments: an order's payment is collected, captured, cancelled or refunded."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command, Event, Kind
from contracts.money import Money
from contracts.orders import PaymentMethod

CaptureMoment = Literal["now", "on_shipment", "on_delivery"]


class CollectPayment(Command):
    """Charge or authorise the order's total.

    Answered by PaymentCaptured, PaymentAuthorized, PaymentActionRequired or PaymentFailed. `token`
    is the provider's one-time token of a payment instrument, never a card number;
    `saved_method_id` is one of the customer's saved methods. `access_hash` is the hash of a guest's
    order token, which lets the guest read the payment.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    order_number: str
    amount: Money
    method: PaymentMethod
    token: str | None = None
    saved_method_id: UUID | None = None
    customer_id: UUID | None = None
    access_hash: str | None = None
    capture: CaptureMoment = "now"


class CapturePayment(Command):
    """Capture the authorised amount. Answered by PaymentCaptured or CaptureFailed."""

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class CancelPayment(Command):
    """Cancel the payment, even before it exists.

    Answered by PaymentCancelled, or by PaymentCaptured when it is too late.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class RefundPayment(Command):
    """Refund an amount; None means everything that was captured.

    Answered by PaymentRefunded or RefundFailed.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    amount: Money | None = None
    reason: str


class PaymentEvent(Event):
    """An event of one order's payment; `amount` is the amount to pay."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "payment"
    order_id: UUID
    payment_id: UUID | None = None
    amount: Money | None = None


class PaymentActionRequired(PaymentEvent):
    """The customer must confirm the payment; payments returns the next action over HTTP."""


class PaymentAuthorized(PaymentEvent):
    """The amount is authorised and will be captured later (cash on delivery: at the door)."""

    method: PaymentMethod
    capture: CaptureMoment
    brand: str | None = None
    last_four: str | None = None
    reference: str | None = None


class PaymentCaptured(PaymentEvent):
    """An amount was captured; `captured` is the payment's total so far."""

    method: PaymentMethod
    captured: Money
    brand: str | None = None
    last_four: str | None = None
    reference: str | None = None


class PaymentFailed(PaymentEvent):
    """The payment failed; nothing was or will be captured."""

    reason: str


class PaymentCancelled(PaymentEvent):
    """The payment was cancelled; nothing is authorised and nothing will be captured."""


class PaymentRefunded(PaymentEvent):
    """An amount was refunded: `refunded` now, `refunded_total` in all."""

    operation_id: UUID | None = None
    refunded: Money
    refunded_total: Money


class RefundFailed(PaymentEvent):
    """The provider declined the refund; the operation may be repeated."""

    operation_id: UUID | None = None
    reason: str


class CaptureFailed(PaymentEvent):
    """The authorised amount could not be captured."""

    reason: str


class PaymentDisputed(PaymentEvent):
    """The customer opened a dispute (chargeback) with the provider."""

    dispute_id: UUID
    reason: str
