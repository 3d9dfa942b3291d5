"""What was asked of a provider, written down before it is asked."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Stamped
from payments.domain import Base

AttemptKind = Literal["collect", "capture", "cancel", "refund"]


class PaymentAttempt(Stamped, Base):
    """One question to a provider under one idempotency key, and how it was answered.

    `request` loses the customer's token as soon as the outcome is known.
    """

    __tablename__ = "payment_attempts"
    __table_args__ = (
        CheckConstraint("kind in ('collect', 'capture', 'cancel', 'refund')", name="kind"),
        CheckConstraint("state in ('started', 'finished')", name="state"),
        Index("ix_payment_attempts_payment_id", "payment_id"),
    )

    idempotency_key: Mapped[str] = mapped_column(Text, primary_key=True)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"))
    kind: Mapped[str] = mapped_column(Text)
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)


def key_of(kind: AttemptKind, operation_id: UUID) -> str:
    """The provider's idempotency key of an operation, the same over all repeats."""
    return f"{kind}-{operation_id}"
