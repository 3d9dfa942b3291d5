"""The tables that only statements write: provider attempts, webhooks received, the ledger."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.model import RETENTION, Model, Pruned, Retained, own_metadata

AttemptKind = Literal["collect", "capture", "cancel", "refund"]
WebhookEffect = Literal["applied", "known", "doubtful", "unknown_payment"]


class Base(Model):
    """The tables of payments."""

    __abstract__ = True
    metadata = own_metadata()


def _timestamp(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


# The longest time in which a cardholder may dispute a payment, by the rules of the card schemes.
DISPUTE_DAYS: Final = 540
SETTLED: Final = (
    "exists (select from payments p where p.id = payment_id and p.status not in "
    "('initiated', 'action_required', 'authorized') and p.refunding_amount = 0 "
    "and p.check_at is null and p.review_reason is null and p.updated_at < :cutoff)"
)
UNSETTLED: Final = "the payment or a refund is open, needs review, or changed in that time"

# One call to a provider under one idempotency key, stored before the call is made. `request` loses
# the customer's token as soon as the outcome is known.
payment_attempts: Final = Table(
    "payment_attempts",
    Base.metadata,
    Column("idempotency_key", Text, primary_key=True),
    Column("payment_id", Uuid, ForeignKey("payments.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("error", Text),
    _timestamp("created_at"),
    _timestamp("updated_at"),
    CheckConstraint("kind in ('collect', 'capture', 'cancel', 'refund')", name="kind"),
    CheckConstraint("state in ('started', 'finished')", name="state"),
    Index("ix_payment_attempts_payment_id", "payment_id"),
    Index("ix_payment_attempts_created_at", "created_at"),
    info={
        RETENTION: Pruned(
            days=DISPUTE_DAYS, by="created_at", where=SETTLED, unless=UNSETTLED, least=30
        )
    },
)

# Webhooks, so that each is applied at most once. `doubtful` ones state another amount or charge.
provider_events: Final = Table(
    "provider_events",
    Base.metadata,
    Column("provider", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("payment_id", Uuid, ForeignKey("payments.id")),
    Column("charge", JSONB, nullable=False),
    Column("effect", Text, nullable=False),
    _timestamp("created_at"),
    CheckConstraint("effect in ('applied', 'known', 'doubtful', 'unknown_payment')", name="effect"),
    Index("ix_provider_events_payment_id", "payment_id"),
    Index("ix_provider_events_created_at", "created_at"),
    info={
        RETENTION: Pruned(
            days=DISPUTE_DAYS,
            by="created_at",
            where=f"effect in ('applied', 'known') and {SETTLED}",
            unless=f"{UNSETTLED}, or the webhook fits no payment",
            least=30,
        )
    },
)

# Double entry, append-only; the database checks that every transaction sums to zero. `amount` is in
# minor units: what an account received, or paid when negative.
ledger_entries: Final = Table(
    "ledger_entries",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("transaction_id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("payment_id", Uuid, ForeignKey("payments.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    _timestamp("created_at"),
    CheckConstraint("kind in ('capture', 'refund')", name="kind"),
    CheckConstraint("account in ('customer', 'merchant')", name="account"),
    CheckConstraint("amount <> 0", name="amount"),
    Index("ix_ledger_entries_order_id", "order_id"),
    Index("ix_ledger_entries_payment_id", "payment_id"),
    info={RETENTION: Retained("the books: tax law requires them for up to ten years")},
)


@dataclass(frozen=True, slots=True)
class Posting:
    """Money that moved; `amount` in minor units, always positive."""

    kind: Literal["capture", "refund"]
    amount: int

    @property
    def entries(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Both ledger entries, as (account, signed amount)."""
        amount = self.amount if self.kind == "capture" else -self.amount
        return ("customer", -amount), ("merchant", amount)


def idempotency_key(kind: AttemptKind, operation_id: UUID) -> str:
    """The provider's idempotency key of an operation, the same over all retries."""
    return f"{kind}-{operation_id}"
