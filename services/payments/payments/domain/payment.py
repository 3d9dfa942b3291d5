"""A payment: what it may do and must refuse, and the one function by which it moves on."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Aggregate, Stamped
from contracts.money import Money
from contracts.payments import (
    CaptureFailed,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
)
from payments.domain import Base
from payments.domain.charge import Charge
from payments.domain.ledger import Posting
from payments.domain.status import RANK, Status, status_of

Told = TypeVar("Told", bound=PaymentEvent)

LONGEST_CHECK_PAUSE = timedelta(hours=1)
REASON_LENGTH = 100


class OrderPayments(Aggregate, Base):
    """What payments knows of one order; its row is locked before any of the order's money moves.

    `sequence` numbers the events of all payments of the order. `cancelled_at` is the tombstone of
    CancelPayment: nothing may be collected for the order afterwards.
    """

    __tablename__ = "order_payments"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_id: Mapped[UUID | None]
    cancelled_at: Mapped[datetime | None]


@dataclass(slots=True)
class Step:
    """What one move of a payment caused: events still to be numbered, and postings."""

    events: list[PaymentEvent] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    changed: bool = False

    def __add__(self, other: "Step") -> "Step":
        return Step(
            self.events + other.events,
            self.postings + other.postings,
            self.changed or other.changed,
        )


class Payment(Stamped, Base):
    """One try to be paid for an order. Amounts are minor units of `currency`."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint(
            "status in ('initiated', 'action_required', 'authorized', 'captured', 'failed', "
            "'voided', 'partially_refunded', 'refunded')",
            name="status",
        ),
        CheckConstraint(
            "method in ('card', 'paypal', 'wallet', 'cod', 'bank_transfer')", name="method"
        ),
        CheckConstraint("capture in ('now', 'on_shipment', 'on_delivery')", name="capture"),
        CheckConstraint("amount > 0 or status = 'failed'", name="amount"),
        CheckConstraint(
            "refunded_amount >= 0 and refunding_amount >= 0 "
            "and refunded_amount + refunding_amount <= captured_amount",
            name="refunded_within_captured",
        ),
        Index(
            "uq_payments_live_order_id",
            "order_id",
            unique=True,
            postgresql_where=text("status not in ('failed', 'voided')"),
        ),
        Index("ix_payments_order_id", "order_id"),
        Index("ix_payments_customer_id_id", "customer_id", "id"),
        Index("ix_payments_status_id", "status", "id"),
        Index("uq_payments_operation_id", "operation_id", unique=True),
        Index(
            "uq_payments_provider_reference",
            "provider",
            "provider_reference",
            unique=True,
            postgresql_where=text("provider_reference is not null"),
        ),
        Index("ix_payments_check_at", "check_at", postgresql_where=text("check_at is not null")),
        Index("ix_payments_review", "id", postgresql_where=text("review_reason is not null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]
    operation_id: Mapped[UUID]
    order_number: Mapped[str] = mapped_column(String(20))
    customer_id: Mapped[UUID | None]
    access_hash: Mapped[str | None] = mapped_column(Text)
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    method: Mapped[str] = mapped_column(Text)
    capture: Mapped[str] = mapped_column(Text)
    provider: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    provider_reference: Mapped[str | None] = mapped_column(Text)
    captured_amount: Mapped[int] = mapped_column(server_default="0")
    refunded_amount: Mapped[int] = mapped_column(server_default="0")
    refunding_amount: Mapped[int] = mapped_column(server_default="0")
    failure_reason: Mapped[str | None] = mapped_column(Text)
    review_reason: Mapped[str | None] = mapped_column(Text)
    action_type: Mapped[str | None] = mapped_column(Text)
    action_url: Mapped[str | None] = mapped_column(Text)
    brand: Mapped[str | None] = mapped_column(Text)
    last_four: Mapped[str | None] = mapped_column(String(4))
    paypal_email: Mapped[str | None] = mapped_column(String(255))
    paid_at: Mapped[datetime | None]
    check_at: Mapped[datetime | None]
    created_by: Mapped[str] = mapped_column(Text)
    updated_by: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(server_default="1", default=1)

    @property
    def is_open(self) -> bool:
        """Whether no result is known yet."""
        return RANK[self.status] < RANK["authorized"]

    @property
    def is_captured(self) -> bool:
        """Whether money was taken, even if all of it went back."""
        return RANK[self.status] == RANK["captured"]

    @property
    def refundable_amount(self) -> int:
        """What may still be given back: captured, not refunded and not about to be."""
        return self.captured_amount - self.refunded_amount - self.refunding_amount

    def money(self, amount: int) -> Money:
        """An amount in the payment's currency."""
        return Money(amount=amount, currency=self.currency)

    def learn(self, charge: Charge, now: datetime) -> Step:
        """Move on to what the provider says, if that is further than what is known.

        Webhooks, answers to calls and the reconciling sweep all come through here, so each change
        is told and posted once, whichever of them brings it first.
        """
        step = Step()
        if self._is_foreign(charge):
            step.changed = self.flag("another_charge")
            return step
        if self.provider_reference is None:
            self._meet(charge, now)
            step.changed = True
        status = status_of(charge)
        if RANK[status] > RANK[self.status]:
            step.changed = True
            self._move(status, charge, now, step)
        if charge.refunded_amount > self.refunded_amount + self.refunding_amount:
            step.changed = self.flag("refunded_elsewhere") or step.changed
        return step

    def void(self) -> Step:
        """The provider has no charge and will have none."""
        self.status = "voided"
        self._close()
        return Step([self.tell(PaymentCancelled)], changed=True)

    def doubt(self, charge: Charge) -> str | None:
        """Why a webhook's word on this payment is not simply taken, if there is a reason."""
        if self._is_foreign(charge):
            return "another_charge"
        expected = self.captured_amount if self.is_captured else self.amount
        captured = charge.captured_amount if charge.status == "captured" else expected
        fits = charge.amount == self.amount and captured == expected
        return None if fits else "amount_differs"

    def flag(self, reason: str) -> bool:
        """Have staff look at it; True when that is new."""
        if self.review_reason is not None:
            return False
        self.review_reason = reason
        return True

    def fail(self, reason: str) -> Step:
        """No money was taken and none will be."""
        if RANK[self.status] >= RANK["failed"]:
            return Step()
        was_authorized = self.status == "authorized"
        self.status, self.failure_reason = "failed", reason[:REASON_LENGTH]
        self._close()
        kind = CaptureFailed if was_authorized else PaymentFailed
        return Step([self.tell(kind, reason=self.failure_reason)], changed=True)

    def standing(self) -> PaymentEvent | None:
        """The event that tells where the payment stands; None while nothing is known yet."""
        match self.status:
            case "initiated":
                return None
            case "action_required":
                return self.tell(PaymentActionRequired)
            case "authorized":
                return self.tell(PaymentAuthorized, capture=self.capture, **self._means())
            case "failed":
                return self.tell(PaymentFailed, reason=self.failure_reason)
            case "voided":
                return self.tell(PaymentCancelled)
            case _:
                captured = self.money(self.captured_amount)
                return self.tell(PaymentCaptured, captured=captured, **self._means())

    def collected(self) -> PaymentEvent | None:
        """The answer to a repeated CollectPayment; none while staff look at another amount."""
        if self.is_captured and self.captured_amount != self.amount:
            return None
        if self.status == "voided":
            return self.tell(PaymentFailed, reason="cancelled")
        return self.standing()

    def check_again(self, now: datetime, after: timedelta) -> None:
        """Put the next question to the provider off, the longer the payment is open."""
        age = now - self.created_at
        self.check_at = now + max(after, min(age / 5, LONGEST_CHECK_PAUSE))

    def _meet(self, charge: Charge, now: datetime) -> None:
        """Note the charge. One that appears after the payment was voided without is open again."""
        self.provider_reference = charge.reference
        if self.status == "voided":
            self.status, self.check_at = "initiated", now

    def _is_foreign(self, charge: Charge) -> bool:
        known = self.provider_reference
        return charge.currency != self.currency or known not in (None, charge.reference)

    def _move(self, status: Status, charge: Charge, now: datetime, step: Step) -> None:
        self.brand = charge.brand or self.brand
        self.last_four = charge.last_four or self.last_four
        self.paypal_email = charge.paypal_email or self.paypal_email
        if status == "failed":
            step.events += self.fail(charge.failure_code or "declined").events
            return
        self.status = status
        if status == "captured":
            self._capture(charge.captured_amount, now, step)
        if status == "action_required" and charge.next_action:
            self.action_type, self.action_url = charge.next_action.type, charge.next_action.url
        else:
            self._close()
        # Money of another amount confirms nothing: staff or the order's deadline decide.
        told = self.collected() if self.is_captured else self.standing()
        if told is not None:
            step.events.append(told)

    def _capture(self, amount: int, now: datetime, step: Step) -> None:
        self.captured_amount, self.paid_at, self.failure_reason = amount, now, None
        step.postings.append(Posting("capture", amount))
        if amount != self.amount:
            self.flag("amount_differs")

    def _close(self) -> None:
        """Nothing is left to do for the customer, or to ask the provider."""
        self.check_at = self.action_type = self.action_url = None

    def tell(self, kind: type[Told], **facts: Any) -> Told:
        """An event about this payment, still to be numbered."""
        amount = self.money(self.amount)
        return kind(order_id=self.order_id, payment_id=self.id, amount=amount, **facts)

    def _means(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "brand": self.brand,
            "last_four": self.last_four,
            "reference": self.provider_reference,
        }
