"""A checkout: an order and its saga, which change together under one row lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from contracts.address import Address
from contracts.cart import LockedCoupon
from contracts.inventory import Allocation
from contracts.message import Event
from contracts.money import Money
from contracts.orders import CancelReason, OrderedLine, PaymentMethod
from contracts.payments import CaptureMoment, PaymentAuthorized, PaymentCaptured
from orders.domain.order import PaymentStatus, Stage, Status

RecordedEvent = TypeVar("RecordedEvent", bound=Event)

BEFORE_PAYMENT: Final = frozenset(
    {Stage.RESERVING, Stage.REDEEMING, Stage.COLLECTING, Stage.AWAITING_CUSTOMER}
)
"""Stages in which CollectPayment may still be sent."""

Refusal = Literal["refused", "partly_refused"]


class Item(BaseModel):
    """A line as the confirmation mail lists it."""

    name: str
    quantity: int


class PaymentFacts(BaseModel):
    """How the customer pays; the provider's token is dropped once no command can need it."""

    token: str | None = None
    saved_method_id: UUID | None = None
    capture: CaptureMoment


class Facts(BaseModel):
    """What the saga's commands carry, as it was agreed at checkout (JSON in `checkout_sagas`).

    link: without the guest's token. traceparent: of the request that placed the order.
    """

    lines: list[OrderedLine]
    items: list[Item] = Field(default_factory=list)
    ship_to: Address
    email: str
    coupon: LockedCoupon | None = None
    redeemer: str | None = None
    shipping_method_id: UUID
    lead_time_days: int
    payment: PaymentFacts
    link: str = ""
    traceparent: str = ""


class Progress(BaseModel):
    """What the saga has sent and learnt so far (JSON in `checkout_sagas`).

    The JSON names only what differs from the defaults; fields of a newer release are retained.
    handed_over: the parcels that left. parcels_named: ShipmentsCreated was received. none_open:
    shipping counted no parcel under way. is_recalled: all parcels that had not left were cancelled.
    refusal: the refusal of parcels that was acted upon. refunded_pieces: pieces by line.
    promise_broken: an authorization was voided, expired or not captured. review: what staff decide.
    """

    model_config = ConfigDict(extra="allow", validate_by_name=True, validate_by_alias=True)

    commands_sent: list[str] = Field(default_factory=list, alias="asked")
    allocations: list[Allocation] | None = None
    stock_released: bool = False
    promotions_released: bool = False
    reason: CancelReason | None = None
    cancellation_published: bool = Field(default=False, alias="said_cancelled")
    handed_over: list[UUID] = Field(default_factory=list)
    parcels_named: bool = False
    none_open: bool = False
    is_recalled: bool = False
    delivered_at: datetime | None = None
    refusal: Refusal | None = None
    refunded_pieces: dict[UUID, int] = Field(default_factory=dict)
    payment_sequence: int = 0
    promise_broken: bool = False
    review: Literal["payment", "parcels"] | None = None
    reviews: int = 0

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the order's public status."""

    from_status: Status | None
    to_status: Status
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class Checkout:
    """An order as its saga changes it. Amounts are minor units of `currency`.

    Fields named like columns of `orders` and `checkout_sagas` are loaded from and saved to them.
    """

    order_id: UUID
    order_number: str
    cart_id: UUID
    customer_id: UUID | None
    user_id: UUID | None
    access_hash: str | None
    status: Status = Status.PENDING
    payment_status: PaymentStatus = PaymentStatus.PENDING
    currency: str
    shipping_amount: int
    total_amount: int
    captured_amount: int = 0
    refunded_amount: int = 0
    payment_method: PaymentMethod
    payment_id: UUID | None = None
    payment_brand: str | None = None
    payment_last_four: str | None = None
    payment_reference: str | None = None
    cancellation_state: str | None = None
    placed_at: datetime
    confirmed_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancellation_reason: str | None = None
    version: int = 1
    sequence: int = 0
    stage: Stage = Stage.RESERVING
    deadline_at: datetime | None = None
    repeats: int = 0
    facts: Facts
    progress: Progress = field(default_factory=Progress)
    changes: list[Change] = field(default_factory=list)

    def record(self, event: RecordedEvent) -> RecordedEvent:
        """Number an event of this order."""
        self.sequence += 1
        return event.with_sequence(self.sequence)

    def operation(self, step: str) -> UUID:
        """The id of one operation of this order, the same for every repetition."""
        return uuid5(self.order_id, step)

    def money(self, amount: int) -> Money:
        """An amount in the order's currency."""
        return Money(amount=amount, currency=self.currency)

    @property
    def reference(self) -> dict[str, Any]:
        """The fields by which every event of an order names it."""
        return {
            "order_id": self.order_id,
            "order_number": self.order_number,
            "customer_id": self.customer_id,
        }

    def set_status(self, status: Status, reason: str | None = None) -> None:
        """Change the public status and note the change for the history."""
        if status is not self.status:
            self.changes.append(Change(self.status, status, reason))
            self.status = status

    # Conditions of the saga's table.

    def has_coupon(self) -> bool:
        """A coupon must be redeemed."""
        return self.facts.coupon is not None

    def is_due(self) -> bool:
        """There is something to pay."""
        return self.total_amount > 0

    def has_captured_funds(self) -> bool:
        """Money was captured and not refunded."""
        return self.unrefunded_amount > 0

    def has_no_funds(self) -> bool:
        """No captured money is left to refund."""
        return self.unrefunded_amount == 0

    def is_settled(self) -> bool:
        """No money is left and none will come: nothing was due, or all was refunded."""
        return not self.is_due() or (self.captured_amount > 0 and self.unrefunded_amount == 0)

    def is_unpaid(self) -> bool:
        """The promised money is gone or was not taken, and none has come since."""
        return self.progress.promise_broken and self.captured_amount == 0

    def not_shipped(self) -> bool:
        """No parcel has left."""
        return not self.progress.handed_over

    def is_released(self) -> bool:
        """Neither stock nor a coupon use is held any more."""
        promotions = not self.has_coupon() or self.progress.promotions_released
        return promotions and self.progress.stock_released

    def awaits_payment_review(self) -> bool:
        """Staff decide only because the money was missing."""
        return self.progress.review == "payment"

    @property
    def unrefunded_amount(self) -> int:
        """What was captured and not refunded."""
        return self.captured_amount - self.refunded_amount

    @property
    def knows_all_parcels(self) -> bool:
        """Whether every parcel is stored: shipping named all of them, or none is under way."""
        return self.progress.parcels_named or self.progress.none_open

    def drop_payment_token(self) -> bool:
        """Drop the provider's token once no command can need it; returns whether there was one."""
        if self.stage in BEFORE_PAYMENT or self.facts.payment.token is None:
            return False
        self.facts.payment.token = None
        return True

    def note_left(self, shipment_id: UUID) -> None:
        """A carrier has this parcel."""
        if shipment_id not in self.progress.handed_over:
            self.progress.handed_over.append(shipment_id)

    def note_delivered(self, at: datetime) -> None:
        """A parcel arrived; the order is delivered with its last parcel."""
        self.progress.delivered_at = max(at, self.progress.delivered_at or at)

    def note_command(self, command: str) -> None:
        """A command of this name was sent."""
        if command not in self.progress.commands_sent:
            self.progress.commands_sent.append(command)

    def note_payment(self, event: PaymentAuthorized | PaymentCaptured) -> None:
        """Take over how the order was paid."""
        self.payment_id = event.payment_id
        self.payment_brand = event.brand
        self.payment_last_four = event.last_four
        self.payment_reference = event.reference

    def note_money(self, captured: int | None, refunded: int | None) -> bool:
        """Take over the provider's sums, which only ever grow; returns whether the status changed.

        A refund received before its capture still proves the capture.
        """
        self.captured_amount = max(self.captured_amount, captured or 0, refunded or 0)
        self.refunded_amount = max(self.refunded_amount, refunded or 0)
        before = self.payment_status
        if self.captured_amount and self.refunded_amount >= self.captured_amount:
            self.payment_status = PaymentStatus.REFUNDED
        elif self.refunded_amount:
            self.payment_status = PaymentStatus.PARTIALLY_REFUNDED
        elif self.captured_amount:
            self.payment_status = PaymentStatus.PAID
        return self.payment_status is not before

    def refund_pieces(self, pieces: Mapping[UUID, int]) -> int:
        """Note the refund of these pieces, by line; returns the amount.

        A line's amount rarely divides by its pieces. The sum over all parts is rounded, not each
        part, so that the parts of a line add up to the line.
        """
        amount = 0
        for line in self.facts.lines:
            before = self.progress.refunded_pieces.get(line.line_id, 0)
            after = min(before + pieces.get(line.line_id, 0), line.quantity)
            amount += line.total_amount * after // line.quantity
            amount -= line.total_amount * before // line.quantity
            self.progress.refunded_pieces[line.line_id] = after
        return amount


# What happens to a checkout from inside orders; these never touch the broker.


@dataclass(frozen=True, slots=True)
class Placed:
    """The customer placed the order."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The stage took longer than it may."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The customer or staff request the cancellation."""

    reason: Literal["customer_request", "staff_request"]


@dataclass(frozen=True, slots=True)
class ReviewRetry:
    """Staff have the parcels tried again."""


@dataclass(frozen=True, slots=True)
class ReviewRefund:
    """Staff refund lines that cannot be sent; `amount` in minor units."""

    amount: int


@dataclass(frozen=True, slots=True)
class RefusedAtDoor:
    """No parcel of a cash-on-delivery order was accepted."""


@dataclass(frozen=True, slots=True)
class PartlyRefused:
    """Some parcels of a cash-on-delivery order were accepted, the others were not."""


@dataclass(frozen=True, slots=True)
class CaptureDue:
    """Authorized money is due to be captured."""


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """An operator has the commands of the stage sent once more, now."""


@dataclass(frozen=True, slots=True)
class SkipRequested:
    """An operator did by hand what the stage waits for."""


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """An operator has a saga that stands still continue."""


Trigger = (
    Placed
    | DeadlinePassed
    | CancelRequested
    | ReviewRetry
    | ReviewRefund
    | RefusedAtDoor
    | PartlyRefused
    | CaptureDue
    | RetryRequested
    | SkipRequested
    | ResumeRequested
)
