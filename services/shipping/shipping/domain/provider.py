"""Shipping providers: the companies that carry parcels, and the adapter each is reached by."""

from uuid import UUID

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Aggregate
from shipping.domain.tables import Base, one_of


class ShippingProvider(Aggregate, Base):
    """A carrier. `code` names it in shipments and in the path of its webhooks."""

    __tablename__ = "shipping_providers"
    __table_args__ = (
        CheckConstraint(one_of("adapter", "manual", "sandbox"), name="adapter"),
        CheckConstraint(one_of("status", "active", "inactive"), name="status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(50), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    adapter: Mapped[str] = mapped_column(String(20))
    contact_email: Mapped[str | None] = mapped_column(String(255))
    contact_phone: Mapped[str | None] = mapped_column(String(20))
    api_endpoint: Mapped[str | None] = mapped_column(String(500))
    status: Mapped[str] = mapped_column(String(10))
