"""How customers pay: the methods the shop offers and those that a customer has saved."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, Index, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Refused
from chassis.model import DeletedBy, Retained, Stamped
from payments.domain.tables import Base

MAX_SAVED_METHODS = 20


class TooManySavedMethods(Refused):
    """Delete a saved payment method before adding another one."""

    code = "too_many_payment_methods"


class SavedPaymentMethod(Stamped, Base):
    """The provider's token of a payment method; `expires_at` is `YYYY-MM`, for cards.

    A deleted row stays until the provider has deleted the method too.
    """

    __tablename__ = "saved_payment_methods"
    __retention__ = DeletedBy("the customer, once the provider has deleted the method too")
    __table_args__ = (
        CheckConstraint("type in ('card', 'paypal', 'wallet')", name="type"),
        Index(
            "uq_saved_payment_methods_default",
            "customer_id",
            unique=True,
            postgresql_where=text("is_default and deleted_at is null"),
        ),
        Index("ix_saved_payment_methods_customer_id_id", "customer_id", "id"),
        Index("uq_saved_payment_methods_token", "provider", "provider_token", unique=True),
        Index(
            "ix_saved_payment_methods_deleted_at",
            "deleted_at",
            postgresql_where=text("deleted_at is not null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID]
    provider: Mapped[str] = mapped_column(Text)
    provider_token: Mapped[str] = mapped_column(String(100))
    type: Mapped[str] = mapped_column(Text)
    brand: Mapped[str | None] = mapped_column(Text)
    last_four: Mapped[str | None] = mapped_column(String(4))
    paypal_email: Mapped[str | None] = mapped_column(String(255))
    expires_at: Mapped[str | None] = mapped_column(String(7))
    is_default: Mapped[bool] = mapped_column(Boolean)
    deleted_at: Mapped[datetime | None]

    def is_expired(self, now: datetime) -> bool:
        """Whether a card's last month is over."""
        return has_expired(self.expires_at, now)


def has_expired(expires_at: str | None, now: datetime) -> bool:
    """Whether a `YYYY-MM` lies before this month."""
    return expires_at is not None and expires_at < f"{now:%Y-%m}"


class PaymentMethodOffer(Stamped, Base):
    """A method the shop offers; no countries means everywhere (ISO 3166-1 alpha-2)."""

    __tablename__ = "payment_methods"
    __retention__ = Retained("a row for each method that the shop offers")
    __table_args__ = (
        CheckConstraint(
            "code in ('card', 'paypal', 'wallet', 'cod', 'bank_transfer')", name="code"
        ),
    )

    code: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    enabled: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    countries: Mapped[list[str]] = mapped_column(ARRAY(String(2)), server_default="{}")
    display_order: Mapped[int] = mapped_column(server_default="0")


@dataclass(frozen=True, slots=True)
class PaymentInstrument:
    """The method of an order, and the customer's saved one; `token` None when none was found."""

    enabled: bool
    token: str | None
    type: str | None
    expires_at: str | None
