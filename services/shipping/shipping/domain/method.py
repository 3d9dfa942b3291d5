"""Shipping methods: what customers choose from."""

from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import CHAR, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Aggregate
from contracts.shipping import ShippingMethodChanged
from shipping.domain.tables import Base, one_of


class ShippingMethod(Aggregate, Base):
    """A way of sending parcels with one provider; zones and tiers have the form of `Tariff`."""

    __tablename__ = "shipping_methods"
    __table_args__ = (
        CheckConstraint(one_of("priced_by", "weight", "value"), name="priced_by"),
        CheckConstraint("jsonb_array_length(zones) > 0", name="zones"),
        CheckConstraint("jsonb_array_length(tiers) > 0", name="tiers"),
        CheckConstraint("free_over_amount >= 0", name="free_over_amount"),
        CheckConstraint("estimated_days between 0 and 365", name="estimated_days"),
        Index("ix_shipping_methods_offered", "currency", postgresql_where=text("is_active")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("shipping_providers.id"), index=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    zones: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    priced_by: Mapped[str] = mapped_column(String(10))
    tiers: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    currency: Mapped[str] = mapped_column(CHAR(3))
    free_over_amount: Mapped[int | None]
    estimated_days: Mapped[int]
    is_active: Mapped[bool]

    def announce(self) -> ShippingMethodChanged:
        """Tell what the method is like now."""
        changed = ShippingMethodChanged(
            shipping_method_id=self.id, name=self.name, is_active=self.is_active
        )
        return self.record(changed)
