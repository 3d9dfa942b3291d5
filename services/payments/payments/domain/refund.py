"""A refund: an amount reserved under the payment's lock, asked of the provider and settled once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Stamped
from contracts.money import Money
from contracts.payments import PaymentRefunded, RefundFailed
from payments.domain import Base
from payments.domain.charge import ChargeRefund
from payments.domain.ledger import Posting
from payments.domain.payment import REASON_LENGTH, Payment, Step


class Refund(Stamped, Base):
    """Money asked back by one operation; `tries` counts how often it was put to the provider."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("state in ('reserved', 'succeeded', 'failed')", name="state"),
        CheckConstraint("amount > 0", name="amount"),
        Index("ix_refunds_payment_id", "payment_id"),
        Index("uq_refunds_operation_id", "operation_id", unique=True),
        Index("ix_refunds_reserved", "updated_at", postgresql_where=text("state = 'reserved'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"))
    operation_id: Mapped[UUID]
    amount: Mapped[int]
    reason: Mapped[str] = mapped_column(String(500))
    state: Mapped[str] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(server_default="0", default=0)
    provider_reference: Mapped[str | None] = mapped_column(Text)
    failure_reason: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[str] = mapped_column(Text)

    @property
    def key(self) -> str:
        """The provider's idempotency key; it replays a refusal, so a new try has a new one."""
        return f"refund-{self.operation_id}-{self.tries}"

    def reserve(self, payment: Payment) -> None:
        """Set the amount aside, so that rivals cannot give the same money back."""
        self.state, self.failure_reason = "reserved", None
        self.tries = (self.tries or 0) + 1
        payment.refunding_amount += self.amount

    def settle(self, payment: Payment, result: ChargeRefund, now: datetime) -> Step:
        """Take the provider's word; only the first one about a try counts."""
        if self.state != "reserved" or result.reference != self.key:
            return Step()
        payment.refunding_amount -= self.amount
        if not result.succeeded:
            self.state = "failed"
            self.failure_reason = (result.failure_code or "refused")[:REASON_LENGTH]
            return Step([self.answer(payment)], changed=True)
        self.state, self.provider_reference = "succeeded", result.provider_reference
        payment.refunded_amount += self.amount
        is_all = payment.refunded_amount == payment.captured_amount
        payment.status = "refunded" if is_all else "partially_refunded"
        return Step([self.answer(payment)], [Posting("refund", self.amount)], changed=True)

    def answer(self, payment: Payment) -> PaymentRefunded | RefundFailed:
        """The event that tells how a settled refund ended."""
        if self.state == "failed":
            reason = self.failure_reason or "refused"
            return payment.tell(RefundFailed, operation_id=self.operation_id, reason=reason)
        return payment.tell(
            PaymentRefunded,
            operation_id=self.operation_id,
            refunded=payment.money(self.amount),
            refunded_total=payment.money(payment.refunded_amount),
        )


def refusal(payment: Payment, wanted: Money | None) -> str | None:
    """Why this much cannot be given back, as a code; None when it can. `wanted` None means all."""
    if not payment.is_captured:
        return "not_captured"
    if wanted is None:
        return "refund_in_progress" if payment.refundable_amount == 0 else None
    if wanted.currency != payment.currency:
        return "currency_mismatch"
    if wanted.amount < 1:
        return "amount_not_positive"
    return "refund_exceeds_captured" if wanted.amount > payment.refundable_amount else None


def nothing_left(payment: Payment, operation_id: UUID) -> PaymentRefunded | None:
    """The answer to "give everything back" when everything went back already; None otherwise."""
    if not payment.is_captured or payment.refunded_amount < payment.captured_amount:
        return None
    return payment.tell(
        PaymentRefunded,
        operation_id=operation_id,
        refunded=payment.money(0),
        refunded_total=payment.money(payment.refunded_amount),
    )
