"""Addresses: where a customer's parcels go and invoices belong."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Refused
from chassis.model import Aggregate
from identity.domain import Base

AddressType = Literal["billing", "shipping"]
MOST = 100


class TooManyAddresses(Refused):
    """A customer keeps at most a hundred addresses; delete one first."""

    code = "too_many_addresses"


class Address(Aggregate, Base):
    """One address of one customer; deleted softly. Of each type at most one is the default."""

    __tablename__ = "addresses"
    __table_args__ = (
        CheckConstraint("type in ('billing', 'shipping')", name="type"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        CheckConstraint("deleted_at is null or not is_default", name="deleted_is_no_default"),
        Index("ix_addresses_customer_id_id", "customer_id", "id"),
        Index(
            "uq_addresses_default",
            "customer_id",
            "type",
            unique=True,
            postgresql_where=text("is_default"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    type: Mapped[str] = mapped_column(String(20))
    recipient_name: Mapped[str] = mapped_column(String(200))
    line1: Mapped[str] = mapped_column(String(200))
    line2: Mapped[str] = mapped_column(String(200), default="")
    city: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(100), default="")
    postal_code: Mapped[str] = mapped_column(String(20), default="")
    country: Mapped[str] = mapped_column(String(2))
    phone: Mapped[str] = mapped_column(String(20), default="")
    is_default: Mapped[bool] = mapped_column(default=False)
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(String(100))

    def delete(self, by: str, now: datetime) -> None:
        """Take the address away from the customer; old orders keep their own copy."""
        self.deleted_at, self.deleted_by = now, by
        self.is_default = False
        self.touch()
