"""The ledger: double entry, append-only, every transaction sums to zero."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from payments.domain import Base

PostingKind = Literal["capture", "refund"]


@dataclass(frozen=True, slots=True)
class Posting:
    """Money that moved; `amount` in minor units, always positive."""

    kind: PostingKind
    amount: int

    @property
    def halves(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Both entries, as (account, signed amount)."""
        amount = self.amount if self.kind == "capture" else -self.amount
        return ("customer", -amount), ("merchant", amount)


class LedgerEntry(Base):
    """Half of a posting: minor units that came to an account, or left it when negative."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint("kind in ('capture', 'refund')", name="kind"),
        CheckConstraint("account in ('customer', 'merchant')", name="account"),
        CheckConstraint("amount <> 0", name="amount"),
        Index("ix_ledger_entries_order_id", "order_id"),
        Index("ix_ledger_entries_payment_id", "payment_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    transaction_id: Mapped[UUID]
    order_id: Mapped[UUID]
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"))
    kind: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(Text)
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
