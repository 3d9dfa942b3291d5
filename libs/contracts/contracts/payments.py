"""What payments obeys and says: an order's money collected, captured, cancelled, refunded."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command, Event, Kind
from contracts.money import Money
from contracts.orders import PaymentMethod

CaptureMoment = Literal["now", "on_shipment", "on_delivery"]


class CollectPayment(Command):
    """Charge the order, or promise to.

    Answered by PaymentCaptured, PaymentAuthorized, PaymentActionRequired or PaymentFailed.
    `token` is the provider's one-time token of the customer's means of payment, never a card
    number; `saved_method_id` one of the customer's saved methods. `access_hash` is the hash of a
    guest's order token, by which the guest may read the payment.
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
    """Take the authorised money. Answered by PaymentCaptured or CaptureFailed."""

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class CancelPayment(Command):
    """Make sure that no money is taken.

    Answered by PaymentCancelled, or by PaymentCaptured when it is too late.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class RefundPayment(Command):
    """Give money back; `amount` None means everything captured.

    Answered by PaymentRefunded or RefundFailed.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    amount: Money | None = None
    reason: str


class PaymentEvent(Event):
    """A fact about the payment of one order; `amount` is what the payment is for."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "payment"
    order_id: UUID
    payment_id: UUID | None = None
    amount: Money | None = None


class PaymentActionRequired(PaymentEvent):
    """The customer must confirm; what to do is asked of payments, never carried here."""


class PaymentAuthorized(PaymentEvent):
    """The money is promised and will be captured later (cash on delivery: at the door)."""

    method: PaymentMethod
    capture: CaptureMoment
    brand: str | None = None
    last_four: str | None = None
    reference: str | None = None


class PaymentCaptured(PaymentEvent):
    """The money is ours; `captured` is the sum over the payment's life."""

    method: PaymentMethod
    captured: Money
    brand: str | None = None
    last_four: str | None = None
    reference: str | None = None


class PaymentFailed(PaymentEvent):
    """No money was taken and none will be."""

    reason: str


class PaymentCancelled(PaymentEvent):
    """No money is held for the order, and none will be taken."""


class PaymentRefunded(PaymentEvent):
    """Money went back: `refunded` now, `refunded_total` over the payment's life."""

    operation_id: UUID | None = None
    refunded: Money
    refunded_total: Money


class RefundFailed(PaymentEvent):
    """The provider would not give the money back; the same operation may be asked again."""

    operation_id: UUID | None = None
    reason: str


class CaptureFailed(PaymentEvent):
    """Authorised money could not be taken."""

    reason: str


class PaymentDisputed(PaymentEvent):
    """The customer disputes the payment with the provider."""

    dispute_id: UUID
    reason: str
