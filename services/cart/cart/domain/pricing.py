"""What a cart costs: offers of variants, tax rates, and amounts that add up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Refused
from chassis.model import RETENTION, Model, Retained, Stamped, check_in, own_metadata

BASIS_POINTS = 10_000


class Base(Model):
    """The cart service's own tables."""

    __abstract__ = True
    metadata = own_metadata()


def timestamps() -> tuple[Column[datetime], Column[datetime]]:
    """The columns that `Stamped` gives to a mapped class, for a `Table`."""
    now, kind = func.now(), DateTime(timezone=True)
    return (
        Column("created_at", kind, server_default=now, nullable=False),
        Column("updated_at", kind, server_default=now, onupdate=now, nullable=False),
    )


# The newest known state of each product; `sequence` is that of the event it came with.
product_snapshots = Table(
    "product_snapshots",
    Base.metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("name", String(200), nullable=False),
    Column("status", String(20), nullable=False),
    Column("category_ids", ARRAY(Uuid), nullable=False),
    Column("seller_id", Uuid),
    Column("currency", CHAR(3), nullable=False),
    Column("customization_fields", JSONB, nullable=False),
    *timestamps(),
    CheckConstraint(check_in("status", ("draft", "active", "inactive", "deleted")), name="status"),
    info={RETENTION: Retained("a copy of the catalogue, a row for each product")},
)
# A variant that its product no longer lists stays here, unavailable.
variant_snapshots = Table(
    "variant_snapshots",
    Base.metadata,
    Column("variant_id", Uuid, primary_key=True),
    Column("product_id", ForeignKey("product_snapshots.product_id"), nullable=False, index=True),
    Column("sku", String(50), nullable=False),
    Column("description", Text, nullable=False),
    Column("price_amount", BigInteger, nullable=False),
    Column("discount_price_amount", BigInteger),
    Column("discount_from", DateTime(timezone=True)),
    Column("discount_until", DateTime(timezone=True)),
    Column("is_available", Boolean, nullable=False),
    Column("lead_time_days", Integer, nullable=False),
    *timestamps(),
    info={RETENTION: Retained("a copy of the catalogue, a row for each variant")},
)
# How many pieces can be promised. Stock may be known before its variant.
stock_snapshots = Table(
    "stock_snapshots",
    Base.metadata,
    Column("variant_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("available", BigInteger, nullable=False),
    *timestamps(),
    info={RETENTION: Retained("a copy of inventory's stock, a row for each variant")},
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A variant as it is sold at this moment. `available` counts whole pieces."""

    variant_id: UUID
    product_id: UUID
    seller_id: UUID | None
    sku: str
    product_name: str
    variant_description: str
    category_ids: tuple[UUID, ...]
    currency: str
    unit_price_amount: int
    is_available: bool
    available: int
    lead_time_days: int
    customization_fields: Sequence[Mapping[str, Any]]


def effective_price(
    price: int,
    discount_price: int | None,
    discount_from: datetime | None,
    discount_until: datetime | None,
    now: datetime,
) -> int:
    """Choose the discount price inside its window (its end excluded), else the price."""
    if discount_price is None:
        return price
    begun = discount_from is None or discount_from <= now
    over = discount_until is not None and discount_until <= now
    return discount_price if begun and not over else price


class TaxRateExists(Refused):
    """There is a rate for this country, state and category already."""

    code = "tax_rate_exists"


class TaxRate(Stamped, Base):
    """The whole rate that holds in a place for a category, in basis points (1900 = 19 %).

    An empty `state` means the whole country, no `category_id` every category. Whether prices
    include the tax is a country's custom: it is the same on all rates of one country.
    """

    __tablename__ = "tax_rates"
    __retention__ = Retained("a row for each rate, which staff edit")
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

    def change(self, rate_bps: int, *, prices_include_tax: bool) -> None:
        """Set the rate and the country's custom, and move the version on."""
        self.rate_bps = rate_bps
        self.prices_include_tax = prices_include_tax
        self.version += 1


@dataclass(frozen=True, slots=True)
class PlaceTaxes:
    """The rates of one place by category (None: all others); a place without rates has no tax."""

    prices_include_tax: bool = False
    rates: dict[UUID | None, int] = field(default_factory=dict)
    country_rates: dict[UUID | None, int] = field(default_factory=dict)

    def rate_for(self, category_ids: Sequence[UUID]) -> int:
        """Basis points for a product in these categories; for none, the standard rate.

        The state's rates go before the country's, the nearest category before its parents.
        """
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

    def at(self, country: str, state: str) -> PlaceTaxes:
        """The taxes of a place."""
        return PlaceTaxes(
            self._included.get(country, False),
            self._rates.get((country, state), {}),
            self._rates.get((country, ""), {}),
        )


@dataclass(frozen=True, slots=True)
class Goods:
    """What a line is worth before discount and tax, and the categories its tax depends on."""

    amount: int
    category_ids: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class LineCost:
    """Amounts of one line, for all its pieces. `total_amount` is what the customer pays for it."""

    amount: int
    discount_amount: int
    tax_amount: int
    total_amount: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Amounts of a cart. `tax_amount` covers lines and shipping, included in them or added."""

    lines: tuple[LineCost, ...]
    subtotal_amount: int
    discount_amount: int
    shipping_amount: int
    tax_amount: int
    total_amount: int


def half_even(numerator: int, denominator: int) -> int:
    """Round a fraction of non-negative integers; a tie goes to the even neighbour."""
    whole, rest = divmod(numerator, denominator)
    above = 2 * rest - denominator
    return whole + (above > 0 or (above == 0 and whole % 2 == 1))


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to the weights so that the parts sum to it.

    No part exceeds its weight as long as the amount does not exceed their sum; on equal remainders
    the earlier line gets the odd unit. (Largest remainder: Hamilton's method of apportionment.)
    """
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    shares = [divmod(amount * weight, total) for weight in weights]
    parts = [whole for whole, _ in shares]
    order = sorted(range(len(weights)), key=lambda i: -shares[i][1])
    for i in order[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def tax_in(amount: int, rate_bps: int, *, included: bool) -> int:
    """Tax an amount, or find the part of it that is tax when prices include it; half-even."""
    whole = BASIS_POINTS + rate_bps if included else BASIS_POINTS
    return half_even(amount * rate_bps, whole)


def compute_cost(
    goods: Sequence[Goods], *, discount: int, shipping: int, taxes: PlaceTaxes | None
) -> Cost:
    """Price a cart: discount over the lines, then shipping, then tax per line on what is left.

    A discount never exceeds the goods. Without `taxes` (no address yet) the tax is 0.
    """
    subtotal = sum(line.amount for line in goods)
    discount = min(discount, subtotal)
    discounts = spread(discount, [line.amount for line in goods])
    included = taxes is not None and taxes.prices_include_tax

    def tax_on(amount: int, category_ids: Sequence[UUID]) -> int:
        rate = taxes.rate_for(category_ids) if taxes is not None else 0
        return tax_in(amount, rate, included=included)

    lines = []
    for line, off in zip(goods, discounts, strict=True):
        net = line.amount - off
        tax = tax_on(net, line.category_ids)
        lines.append(LineCost(line.amount, off, tax, net if included else net + tax))
    shipping_tax = tax_on(shipping, ())
    return Cost(
        lines=tuple(lines),
        subtotal_amount=subtotal,
        discount_amount=discount,
        shipping_amount=shipping,
        tax_amount=sum(line.tax_amount for line in lines) + shipping_tax,
        total_amount=sum(line.total_amount for line in lines)
        + shipping
        + (0 if included else shipping_tax),
    )
