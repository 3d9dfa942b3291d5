"""What providers told us by webhook, kept so that each is applied at most once."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from payments.domain import Base

Effect = Literal["applied", "known", "doubtful", "unknown_payment"]


class ProviderEvent(Base):
    """One webhook. `doubtful` ones told of another amount: the provider is asked instead."""

    __tablename__ = "provider_events"
    __table_args__ = (
        CheckConstraint(
            "effect in ('applied', 'known', 'doubtful', 'unknown_payment')", name="effect"
        ),
        Index("ix_provider_events_payment_id", "payment_id"),
    )

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"))
    charge: Mapped[dict[str, Any]] = mapped_column(JSONB)
    effect: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
