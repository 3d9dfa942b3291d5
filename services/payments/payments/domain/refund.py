"""A refund: an amount reserved under the payment's lock, requested once and settled once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Retained, Stamped
from contracts.money import Money
from contracts.payments import PaymentRefunded, RefundFailed
from payments.domain.charge import ChargeRefund
from payments.domain.payment import REASON_LENGTH, Payment, Step
from payments.domain.tables import Base, Posting


class Refund(Stamped, Base):
    """Money to return for one operation; `tries` counts the requests under different keys."""

    __tablename__ = "refunds"
    __retention__ = Retained("part of the books")
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
        """The provider's idempotency key; it replays a refusal, so each try has its own."""
        return f"refund-{self.operation_id}-{self.tries}"

    def reserve(self, payment: Payment) -> None:
        """Reserve the amount, so that concurrent refunds cannot return the same money."""
        self.state, self.failure_reason = "reserved", None
        self.tries = (self.tries or 0) + 1
        payment.refunding_amount += self.amount

    def settle(self, payment: Payment, result: ChargeRefund, now: datetime) -> Step:
        """Apply the provider's result; only the first one of the current try counts."""
        if self.state != "reserved" or result.reference != self.key:
            return Step()
        payment.refunding_amount -= self.amount
        if not result.succeeded:
            self.state = "failed"
            self.failure_reason = (result.failure_code or "refused")[:REASON_LENGTH]
            return Step([self.result_event(payment)], changed=True)
        self.state, self.provider_reference = "succeeded", result.provider_reference
        payment.refunded_amount += self.amount
        is_all = payment.refunded_amount == payment.captured_amount
        payment.status = "refunded" if is_all else "partially_refunded"
        return Step([self.result_event(payment)], [Posting("refund", self.amount)], changed=True)

    def result_event(self, payment: Payment) -> PaymentRefunded | RefundFailed:
        """The event of a settled refund."""
        if self.state == "failed":
            reason = self.failure_reason or "refused"
            return payment.build_event(RefundFailed, operation_id=self.operation_id, reason=reason)
        return payment.build_event(
            PaymentRefunded,
            operation_id=self.operation_id,
            refunded=payment.money(self.amount),
            refunded_total=payment.money(payment.refunded_amount),
        )


def refund_refusal(payment: Payment, amount: Money | None) -> str | None:
    """Why an amount cannot be refunded, as a code; None when it can. `amount` None means all."""
    if not payment.is_captured:
        return "not_captured"
    if amount is None:
        return "refund_in_progress" if payment.refundable_amount == 0 else None
    if amount.currency != payment.currency:
        return "currency_mismatch"
    if amount.amount < 1:
        return "amount_not_positive"
    return "refund_exceeds_captured" if amount.amount > payment.refundable_amount else None


def full_refund_reply(payment: Payment, operation_id: UUID) -> PaymentRefunded | None:
    """The reply to a full refund when everything was refunded before; None otherwise."""
    if not payment.is_captured or payment.refunded_amount < payment.captured_amount:
        return None
    return payment.build_event(
        PaymentRefunded,
        operation_id=operation_id,
        refunded=payment.money(0),
        refunded_total=payment.money(payment.refunded_amount),
    )
