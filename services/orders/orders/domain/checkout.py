"""A checkout in progress: the order and its process, which change together under one row lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid5

from contracts.message import Event
from contracts.money import Money
from contracts.orders import OrderedLine
from orders.domain.order import PaymentStatus, Stage, Status

RecordedEvent = TypeVar("RecordedEvent", bound=Event)

# Stages in which CollectPayment may still be sent.
BEFORE_PAYMENT = frozenset(
    {Stage.RESERVING, Stage.REDEEMING, Stage.COLLECTING, Stage.AWAITING_CUSTOMER}
)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the order's public status."""

    from_status: Status
    to_status: Status
    reason: str | None


@dataclass(slots=True, kw_only=True)
class Checkout:
    """What the saga knows and changes. Amounts are minor units of `currency`.

    facts: what was bought and how (immutable after checkout, except that the payment token goes
    once the money is taken or will not be): `lines`, `ship_to`, `email`,
    `payment`, `coupon`, `shipping_method_id`, `lead_time_days`, `redeemer`, `traceparent` (of the
    request that placed it).
    progress: `asked` (commands ever sent), `allocations`, `stock_released`, `promotions_released`,
    `reason`, `said_cancelled`; of parcels `handed_over` (ids of those that left), `parcels_named`
    (ShipmentsCreated was received), `none_open` (shipping counted none under way), `is_recalled`,
    `delivered_at`, `refusal` (acted upon), `refunded_pieces` (by line); of the payment
    `payment_sequence`, `promise_broken` (an authorisation was voided, expired or not captured);
    `review` (`payment` or `parcels`: what staff decide about).
    """

    order_id: UUID
    order_number: str
    cart_id: UUID
    customer_id: UUID | None
    user_id: UUID | None
    access_hash: str | None
    status: Status
    payment_status: PaymentStatus
    currency: str
    shipping_amount: int
    total_amount: int
    captured_amount: int
    refunded_amount: int
    payment_method: str
    payment_id: UUID | None
    payment_brand: str | None
    payment_last_four: str | None
    payment_reference: str | None
    cancellation_state: str | None
    placed_at: datetime
    confirmed_at: datetime | None
    cancelled_at: datetime | None
    cancellation_reason: str | None
    version: int
    sequence: int
    stage: Stage
    deadline_at: datetime | None
    repeats: int
    facts: dict[str, Any]
    progress: dict[str, Any]
    changes: list[Change] = field(default_factory=list)

    def record(self, event: RecordedEvent) -> RecordedEvent:
        """Number an event of this order."""
        self.sequence += 1
        return event.with_sequence(self.sequence)

    def operation(self, step: str) -> UUID:
        """The id of one operation of this order, the same however often it is asked for."""
        return uuid5(self.order_id, step)

    def money(self, amount: int) -> Money:
        """An amount in the order's currency."""
        return Money(amount=amount, currency=self.currency)

    def become(self, status: Status, reason: str | None = None) -> None:
        """Change the public status and remember it for the history."""
        if status is not self.status:
            self.changes.append(Change(self.status, status, reason))
            self.status = status

    @property
    def has_coupon(self) -> bool:
        """Whether a coupon must be redeemed for this order."""
        return self.facts.get("coupon") is not None

    @property
    def is_due(self) -> bool:
        """Whether there is anything to pay."""
        return self.total_amount > 0

    @property
    def kept_amount(self) -> int:
        """What was captured and not given back."""
        return self.captured_amount - self.refunded_amount

    @property
    def is_unpaid(self) -> bool:
        """Whether money that was promised is gone or was not taken, and none has come since."""
        return bool(self.progress.get("promise_broken")) and self.captured_amount == 0

    @property
    def is_handed_over(self) -> bool:
        """Whether any parcel has left."""
        return bool(self.progress.get("handed_over"))

    @property
    def everything_given_back(self) -> bool:
        """Whether neither stock nor a coupon use is held any more."""
        promotions = not self.has_coupon or bool(self.progress.get("promotions_released"))
        return promotions and bool(self.progress.get("stock_released"))

    def drop_payment_token(self) -> bool:
        """Drop the provider's token once no command can need it; tells whether there was one."""
        if self.stage in BEFORE_PAYMENT:
            return False
        return self.facts["payment"].pop("token", None) is not None

    def note_left(self, shipment_id: UUID) -> None:
        """A carrier has this parcel."""
        left = self.progress.setdefault("handed_over", [])
        if str(shipment_id) not in left:
            left.append(str(shipment_id))

    def note_delivered(self, at: datetime) -> None:
        """A parcel arrived; the order's moment is that of its last parcel."""
        self.progress["delivered_at"] = max(at, self.delivered_at or at).isoformat()

    @property
    def delivered_at(self) -> datetime | None:
        """When the last parcel that is known to have arrived did."""
        noted = self.progress.get("delivered_at")
        return datetime.fromisoformat(noted) if noted else None

    @property
    def payment_sequence(self) -> int:
        """The highest number of a payment's event that was received."""
        return int(self.progress.get("payment_sequence", 0))

    @property
    def is_recalled(self) -> bool:
        """Whether every parcel that had not left was kept back."""
        return bool(self.progress.get("is_recalled"))

    @property
    def knows_all_parcels(self) -> bool:
        """Whether there can be no parcel that is not stored: all were named, or all have ended."""
        return bool(self.progress.get("parcels_named") or self.progress.get("none_open"))

    def was_asked(self, command: str) -> bool:
        """Whether a command of this name was ever sent for the order."""
        return command in self.progress.get("asked", ())

    def remember_asked(self, command: str) -> None:
        """Note that a command of this name was sent."""
        asked = self.progress.setdefault("asked", [])
        if command not in asked:
            asked.append(command)

    def lines(self) -> list[OrderedLine]:
        """What was bought."""
        return [OrderedLine.model_validate(line) for line in self.facts["lines"]]

    def refund_pieces(self, pieces: Mapping[UUID, int]) -> int:
        """Note that the money of these pieces, by line, goes back; returns the amount.

        A line's amount rarely divides by its pieces. The sum over all parts is rounded, not each
        part, so that the parts of a line add up to the line.
        """
        refunded: dict[str, int] = self.progress.setdefault("refunded_pieces", {})
        amount = 0
        for line in self.lines():
            before = refunded.get(str(line.line_id), 0)
            after = min(before + pieces.get(line.line_id, 0), line.quantity)
            amount += line.total_amount * after // line.quantity
            amount -= line.total_amount * before // line.quantity
            refunded[str(line.line_id)] = after
        return amount

    def note_money(self, captured: int | None, refunded: int | None) -> bool:
        """Take over the provider's sums, which only ever grow; tells whether the status changed."""
        # A refund heard before its capture still proves the capture.
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
