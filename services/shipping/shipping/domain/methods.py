"""Shipping providers, the methods that customers choose from, and what a method costs."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import CHAR, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Aggregate, Model, Retained, check_in, own_metadata
from contracts.shipping import ShippingMethodChanged


class Base(Model):
    __abstract__ = True
    metadata = own_metadata()


class ShippingProvider(Aggregate, Base):
    """A business that carries parcels. `code` names it in shipments and in its webhooks' path."""

    __tablename__ = "shipping_providers"
    __retention__ = Retained("a row for each provider, which staff edit")
    __table_args__ = (
        CheckConstraint(check_in("adapter", ("manual", "sandbox")), name="adapter"),
        CheckConstraint(check_in("status", ("active", "inactive")), name="status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(50), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    adapter: Mapped[str] = mapped_column(String(20))
    contact_email: Mapped[str | None] = mapped_column(String(255))
    contact_phone: Mapped[str | None] = mapped_column(String(20))
    api_endpoint: Mapped[str | None] = mapped_column(String(500))
    status: Mapped[str] = mapped_column(String(10))


class ShippingMethod(Aggregate, Base):
    """A service of one provider; zones and tiers have the shape that `Tariff` describes."""

    __tablename__ = "shipping_methods"
    __retention__ = Retained("a row for each method, which staff edit; orders refer to it")
    __table_args__ = (
        CheckConstraint(check_in("priced_by", ("weight", "value")), name="priced_by"),
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

    def record_change(self) -> ShippingMethodChanged:
        """The event with the method's current state."""
        changed = ShippingMethodChanged(
            shipping_method_id=self.id, name=self.name, is_active=self.is_active
        )
        return self.record(changed)


@dataclass(frozen=True, slots=True)
class Tariff:
    """Zones and price tiers of one method.

    zones: `{"country": "US", "states": ["CA"]}`; no states means the whole country.
    tiers: `{"up_to": 2000, "price_amount": 590}` ascending; `up_to` is inclusive, in grams or minor
    units according to `priced_by`, and None in a last tier without a limit.
    """

    zones: list[dict[str, Any]]
    priced_by: str
    tiers: list[dict[str, Any]]
    free_over_amount: int | None = None

    def serves(self, country: str, state: str | None) -> bool:
        """Whether a zone covers this address."""
        return any(
            zone["country"] == country and (not zone["states"] or state in zone["states"])
            for zone in self.zones
        )

    def price(self, subtotal_amount: int, weight_grams: int) -> int | None:
        """The price in minor units; None above the last tier."""
        measure = weight_grams if self.priced_by == "weight" else subtotal_amount
        for tier in self.tiers:
            if tier["up_to"] is None or measure <= tier["up_to"]:
                is_free = (
                    self.free_over_amount is not None and subtotal_amount >= self.free_over_amount
                )
                return 0 if is_free else int(tier["price_amount"])
        return None
