"""A payment: what it may do and must refuse; `apply_charge` alone advances it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Aggregate, Retained, Stamped
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
from payments.domain.charge import RANK, Charge, Status
from payments.domain.tables import Base, Posting

BuiltEvent = TypeVar("BuiltEvent", bound=PaymentEvent)

LONGEST_CHECK_PAUSE = timedelta(hours=1)
REASON_LENGTH = 100


class OrderPayments(Aggregate, Base):
    """The payments of one order; its row is locked before any of the order's money moves.

    `sequence` numbers the events of all payments of the order. `cancelled_at` is the tombstone of
    CancelPayment: nothing may be collected for the order afterwards.
    """

    __tablename__ = "order_payments"
    __retention__ = Retained("money that arrives late finds the payments of its order")

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_id: Mapped[UUID | None]
    cancelled_at: Mapped[datetime | None]


@dataclass(slots=True)
class Step:
    """The effects of one change of a payment: events still to be numbered, and postings."""

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
    """One attempt to be paid for an order. Amounts are minor units of `currency`."""

    __tablename__ = "payments"
    __retention__ = Retained("part of the books")
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
        """Whether money was captured, even if all of it was refunded."""
        return RANK[self.status] == RANK["captured"]

    @property
    def refundable_amount(self) -> int:
        """What may still be refunded: captured, neither refunded nor reserved for a refund."""
        return self.captured_amount - self.refunded_amount - self.refunding_amount

    def money(self, amount: int) -> Money:
        """An amount in the payment's currency."""
        return Money(amount=amount, currency=self.currency)

    def apply_charge(self, charge: Charge, now: datetime) -> Step:
        """Advance to the status the provider reports, if it ranks above the current one.

        Webhooks, responses to calls and the sweep all come through here, so each change is
        published and posted once, whichever of them reports it first.
        """
        step = Step()
        if self._is_foreign(charge):
            step.changed = self.flag_for_review("another_charge")
            return step
        if self.provider_reference is None:
            self._link(charge, now)
            step.changed = True
        status = charge.payment_status
        if RANK[status] > RANK[self.status]:
            step.changed = True
            self._advance(status, charge, now, step)
        if charge.refunded_amount > self.refunded_amount + self.refunding_amount:
            step.changed = self.flag_for_review("refunded_elsewhere") or step.changed
        return step

    def void(self) -> Step:
        """End a payment whose provider has no charge and will have none."""
        self.status = "voided"
        self._clear_check_and_action()
        return Step([self.build_event(PaymentCancelled)], changed=True)

    def mismatch(self, charge: Charge) -> str | None:
        """Why a webhook's charge does not fit this payment; None when it fits."""
        if self._is_foreign(charge):
            return "another_charge"
        expected = self.captured_amount if self.is_captured else self.amount
        captured = charge.captured_amount if charge.status == "captured" else expected
        fits = charge.amount == self.amount and captured == expected
        return None if fits else "amount_differs"

    def flag_for_review(self, reason: str) -> bool:
        """Flag the payment for staff; False when it was flagged before."""
        if self.review_reason is not None:
            return False
        self.review_reason = reason
        return True

    def fail(self, reason: str) -> Step:
        """End a payment of which no money was captured and none will be."""
        if RANK[self.status] >= RANK["failed"]:
            return Step()
        was_authorized = self.status == "authorized"
        self.status, self.failure_reason = "failed", reason[:REASON_LENGTH]
        self._clear_check_and_action()
        kind = CaptureFailed if was_authorized else PaymentFailed
        return Step([self.build_event(kind, reason=self.failure_reason)], changed=True)

    def current_event(self) -> PaymentEvent | None:
        """The event of the payment's current status; None while it has no result."""
        match self.status:
            case "initiated":
                return None
            case "action_required":
                return self.build_event(PaymentActionRequired)
            case "authorized":
                facts = self._instrument_facts()
                return self.build_event(PaymentAuthorized, capture=self.capture, **facts)
            case "failed":
                return self.build_event(PaymentFailed, reason=self.failure_reason)
            case "voided":
                return self.build_event(PaymentCancelled)
            case _:
                captured = self.money(self.captured_amount)
                facts = self._instrument_facts()
                return self.build_event(PaymentCaptured, captured=captured, **facts)

    def collect_reply(self) -> PaymentEvent | None:
        """The reply to a repeated CollectPayment; None while staff review another amount."""
        if self.is_captured and self.captured_amount != self.amount:
            return None
        if self.status == "voided":
            return self.build_event(PaymentFailed, reason="cancelled")
        return self.current_event()

    def schedule_check(self, now: datetime, after: timedelta) -> None:
        """Schedule the next check with the provider; the pause grows with the payment's age."""
        age = now - self.created_at
        self.check_at = now + max(after, min(age / 5, LONGEST_CHECK_PAUSE))

    def build_event(self, kind: type[BuiltEvent], **facts: Any) -> BuiltEvent:
        """An event about this payment, still to be numbered."""
        amount = self.money(self.amount)
        return kind(order_id=self.order_id, payment_id=self.id, amount=amount, **facts)

    def _link(self, charge: Charge, now: datetime) -> None:
        self.provider_reference = charge.reference
        if self.status == "voided":
            # It was voided because no charge existed; now one does.
            self.status, self.check_at = "initiated", now

    def _is_foreign(self, charge: Charge) -> bool:
        known = self.provider_reference
        return charge.currency != self.currency or known not in (None, charge.reference)

    def _advance(self, status: Status, charge: Charge, now: datetime, step: Step) -> None:
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
            self._clear_check_and_action()
        # Money of another amount confirms nothing: staff or the order's deadline decide.
        event = self.collect_reply() if self.is_captured else self.current_event()
        if event is not None:
            step.events.append(event)

    def _capture(self, amount: int, now: datetime, step: Step) -> None:
        self.captured_amount, self.paid_at, self.failure_reason = amount, now, None
        step.postings.append(Posting("capture", amount))
        if amount != self.amount:
            self.flag_for_review("amount_differs")

    def _clear_check_and_action(self) -> None:
        self.check_at = self.action_type = self.action_url = None

    def _instrument_facts(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "brand": self.brand,
            "last_four": self.last_four,
            "reference": self.provider_reference,
        }
