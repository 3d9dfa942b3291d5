"""Taxes: the shop's own table of rates, and which of them holds for a line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from cart.domain import Base
from chassis.errors import Refused
from chassis.model import Stamped


class TaxRateExists(Refused):
    """There is a rate for this country, state and category already."""

    code = "tax_rate_exists"


class TaxRate(Stamped, Base):
    """The whole rate that holds in a place for a category, in basis points (1900 = 19 %).

    An empty `state` means the whole country, no `category_id` every category. Whether prices
    include the tax is a country's custom: it is the same on all rates of one country.
    """

    __tablename__ = "tax_rates"
    __table_args__ = (
        CheckConstraint("rate_bps between 0 and 10000", name="rate"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        Index(
            "uq_tax_rates_place_category",
            "country",
            "state",
            "category_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    country: Mapped[str] = mapped_column(CHAR(2))
    state: Mapped[str] = mapped_column(String(100), server_default="", default="")
    category_id: Mapped[UUID | None]
    rate_bps: Mapped[int] = mapped_column(Integer)
    prices_include_tax: Mapped[bool]
    version: Mapped[int] = mapped_column(server_default="1", default=1)


class Destination(Protocol):
    """The taxes of one place: what a tax provider would have to tell."""

    @property
    def prices_include_tax(self) -> bool:
        """Whether the prices shown contain the tax."""
        ...

    def rate_for(self, category_ids: Sequence[UUID]) -> int:
        """Basis points for a product in these categories; for none, the standard rate."""
        ...


class Taxes(Protocol):
    """Where rates come from."""

    def at(self, country: str, state: str) -> Destination:
        """Tell the taxes of a place."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """The rates of one place by category (None: all others); nowhere known means no tax."""

    prices_include_tax: bool = False
    rates: dict[UUID | None, int] = field(default_factory=dict)
    country_rates: dict[UUID | None, int] = field(default_factory=dict)

    def rate_for(self, category_ids: Sequence[UUID]) -> int:
        """Take the state's rates before the country's, the nearest category before its parents."""
        for rates in (self.rates, self.country_rates):
            for category in (*category_ids, None):
                if category in rates:
                    return rates[category]
        return 0


class TaxTable:
    """All rates of the shop, in memory."""

    def __init__(self, rates: Iterable[TaxRate]) -> None:
        self._rates: dict[tuple[str, str], dict[UUID | None, int]] = {}
        self._included: dict[str, bool] = {}
        for rate in rates:
            self._rates.setdefault((rate.country, rate.state), {})[rate.category_id] = rate.rate_bps
            self._included[rate.country] = rate.prices_include_tax

    def at(self, country: str, state: str) -> Place:
        """Tell the taxes of a place."""
        return Place(
            self._included.get(country, False),
            self._rates.get((country, state), {}),
            self._rates.get((country, ""), {}),
        )
