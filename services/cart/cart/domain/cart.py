"""A cart: its rows, its lines beside what is offered now, and what may be done with it."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from cart.domain.pricing import Base, Offer, timestamps
from chassis.errors import Gone, Invalid, NotFound, Refused
from chassis.model import RETENTION, DeletedWith, Pruned, check_in
from contracts.address import Address
from contracts.cart import LockedCart
from contracts.money import MAX_AMOUNT

MAX_QUANTITY = 99
MAX_LINES = 100
NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")


def _amount(name: str) -> Column[int]:
    return Column(name, BigInteger, server_default="0", nullable=False)


# The amounts are those the cart was locked at; an open cart is priced each time it is shown.
# The addresses are `Address`es. `locked` is the `LockedCart` that the order got, so that a repeat
# gets the same one.
carts = Table(
    "carts",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid),
    Column("token_hash", CHAR(64)),
    Column("email", String(255)),
    Column("currency", CHAR(3), nullable=False),
    Column("status", String(20), server_default="active", nullable=False),
    Column("coupon_code", String(50)),
    Column("shipping_address", JSONB(none_as_null=True)),
    Column("billing_address", JSONB(none_as_null=True)),
    Column("shipping_method_id", Uuid),
    _amount("subtotal_amount"),
    _amount("discount_amount"),
    _amount("shipping_amount"),
    _amount("tax_amount"),
    _amount("total_amount"),
    Column("order_id", Uuid),
    Column("locked", JSONB(none_as_null=True)),
    Column("lock_checked_at", DateTime(timezone=True)),
    Column("merged_into", ForeignKey("carts.id"), index=True),
    Column(
        "last_activity_at", DateTime(timezone=True), server_default=text("now()"), nullable=False
    ),
    Column("version", BigInteger, server_default="1", nullable=False),
    *timestamps(),
    CheckConstraint(
        check_in("status", ("active", "locked", "converted", "abandoned")), name="status"
    ),
    CheckConstraint("num_nonnulls(customer_id, token_hash) = 1", name="holder"),
    CheckConstraint(
        "status in ('active', 'abandoned') or (order_id is not null and locked is not null)",
        name="lock",
    ),
    CheckConstraint(
        "least(subtotal_amount, discount_amount, shipping_amount, tax_amount, total_amount) >= 0",
        name="amounts",
    ),
    Index(
        "uq_carts_active_customer_id",
        "customer_id",
        unique=True,
        postgresql_where=text("status = 'active'"),
    ),
    Index("uq_carts_token_hash", "token_hash", unique=True),
    Index("ix_carts_locked", "lock_checked_at", postgresql_where=text("status = 'locked'")),
    Index("ix_carts_resting", "last_activity_at", postgresql_where=text("status = 'active'")),
    info={
        RETENTION: Pruned(
            days=90,
            by="id",
            where="status in ('converted', 'abandoned') and updated_at < :cutoff "
            "and not exists (select from carts merged where merged.merged_into = carts.id)",
            unless="the cart is open or locked, or changed in that time",
            least=14,
        )
    },
)
# `unit_price_amount` is the price that the customer last saw and accepted.
cart_items = Table(
    "cart_items",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("cart_id", ForeignKey("carts.id", ondelete="CASCADE"), nullable=False),
    Column("variant_id", Uuid, nullable=False),
    Column("product_id", Uuid, nullable=False),
    Column("sku", String(50), nullable=False),
    Column("product_name", String(200), nullable=False),
    Column("variant_description", Text, nullable=False),
    Column("unit_price_amount", BigInteger, nullable=False),
    Column("quantity", SmallInteger, nullable=False),
    Column("customization", JSONB(none_as_null=True)),
    Column("customization_key", String(64), server_default="", nullable=False),
    Column("added_at", DateTime(timezone=True), server_default=text("now()"), nullable=False),
    *timestamps(),
    CheckConstraint("quantity between 1 and 99", name="quantity"),
    CheckConstraint("unit_price_amount >= 1", name="unit_price"),
    Index(
        "uq_cart_items_cart_variant_customization",
        "cart_id",
        "variant_id",
        "customization_key",
        unique=True,
    ),
    info={RETENTION: DeletedWith("carts")},
)


class CartLocked(Refused):
    """The cart is being paid for; cancel its order to change it."""

    code = "cart_locked"


class CartConverted(Refused):
    """The cart was bought; start a new one."""

    code = "cart_converted"


class CartExpired(Gone):
    """The cart was abandoned or merged into another; start a new one."""

    code = "cart_expired"


class CartBusy(Refused):
    """The cart was changed by other requests; try again."""

    code = "cart_busy"


class CartEmpty(Refused):
    """There is nothing in the cart."""

    code = "cart_empty"


class CartFull(Refused):
    """A cart holds at most 100 different lines and a bounded amount of money."""

    code = "cart_full"


class QuantityLimit(Refused):
    """A line holds at most 99 pieces."""

    code = "quantity_limit"


class VariantUnknown(NotFound):
    """There is no such variant."""

    code = "variant_unknown"


class VariantUnavailable(Refused):
    """The variant is not for sale at the moment."""

    code = "variant_unavailable"


class LineUnavailable(Refused):
    """Some lines are no longer for sale; remove them."""

    code = "line_unavailable"


class InsufficientStock(Refused):
    """Fewer pieces are available than the cart holds."""

    code = "insufficient_stock"


class CurrencyMismatch(Refused):
    """Everything in a cart is in one currency."""

    code = "currency_mismatch"


class CustomizationRefused(Invalid):
    """The customization is not one this product takes."""

    code = "customization_invalid"


def check_customization(offer: Offer, given: Mapping[str, str]) -> None:
    """Refuse fields the product does not have, values too long, and missing required ones."""
    fields = {str(each["name"]): each for each in offer.customization_fields}
    if not given.keys() <= fields.keys():
        raise CustomizationRefused("This product has no such customization field.")
    for name, rule in fields.items():
        value = given.get(name, "")
        if rule.get("required") and not value:
            raise CustomizationRefused("A required customization is missing.")
        longest = rule.get("max_length")
        if longest is not None and len(value) > longest:
            raise CustomizationRefused("A customization is longer than the product allows.")
        if value and rule.get("type") == "number" and not NUMBER.fullmatch(value):
            raise CustomizationRefused("A customization must be a number.")


def customization_key(customization: Mapping[str, str] | None) -> str:
    """A key by which two customizations of a variant differ; empty for none."""
    if not customization:
        return ""
    return hashlib.sha256(json.dumps(customization, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a customer adds to a cart."""

    variant_id: UUID
    quantity: int
    customization: Mapping[str, str] | None = None


@dataclass(slots=True)
class Line:
    """A row of `cart_items` beside what is offered now; `offer` is None for an unknown variant.

    `seen_price_amount` is the price at which the customer last changed the line.
    """

    id: UUID
    variant_id: UUID
    product_id: UUID
    sku: str
    product_name: str
    variant_description: str
    seen_price_amount: int
    quantity: int
    customization: Mapping[str, str] | None
    customization_key: str
    added_at: datetime
    offer: Offer | None

    @property
    def unit_price_amount(self) -> int:
        """What one piece costs now; what it last cost when it is no longer offered."""
        return self.offer.unit_price_amount if self.offer else self.seen_price_amount

    @property
    def amount(self) -> int:
        """What the line is worth before discount and tax."""
        return self.unit_price_amount * self.quantity

    def is_available(self, currency: str) -> bool:
        """Whether it can be bought in this currency, stock aside."""
        return bool(self.offer and self.offer.is_available and self.offer.currency == currency)


@dataclass(slots=True)
class Cart:
    """A row of `carts` with its lines. The cart belongs to a customer, or to its token's holder."""

    id: UUID
    customer_id: UUID | None
    email: str | None
    currency: str
    status: str
    coupon_code: str | None
    shipping_address: Address | None
    billing_address: Address | None
    shipping_method_id: UUID | None
    order_id: UUID | None
    locked: LockedCart | None
    merged_into: UUID | None
    version: int
    lines: list[Line] = field(default_factory=list)

    def ensure_active(self) -> None:
        """Refuse to change a cart that is locked, converted or abandoned."""
        if self.status != "active":
            raise {"locked": CartLocked, "converted": CartConverted}.get(self.status, CartExpired)

    @property
    def subtotal_amount(self) -> int:
        """What the goods cost now, before discounts."""
        return sum(line.amount for line in self.lines)

    def line(self, item_id: UUID) -> Line:
        """Find the line of this id."""
        for line in self.lines:
            if line.id == item_id:
                return line
        raise NotFound

    def add(self, wanted: Wanted, offer: Offer | None, item_id: UUID, now: datetime) -> Line:
        """Add pieces, to an equal line where there is one, at today's price."""
        if offer is None:
            raise VariantUnknown
        if not offer.is_available:
            raise VariantUnavailable
        if offer.currency != self.currency:
            raise CurrencyMismatch
        check_customization(offer, wanted.customization or {})
        key = customization_key(wanted.customization)
        line = next(
            (
                line
                for line in self.lines
                if line.variant_id == wanted.variant_id and line.customization_key == key
            ),
            None,
        )
        if line is None:
            line = Line(
                id=item_id,
                variant_id=offer.variant_id,
                product_id=offer.product_id,
                sku=offer.sku,
                product_name=offer.product_name,
                variant_description=offer.variant_description,
                seen_price_amount=offer.unit_price_amount,
                quantity=0,
                customization=wanted.customization or None,
                customization_key=key,
                added_at=now,
                offer=offer,
            )
            self.lines.append(line)
        self.set_quantity(line, line.quantity + wanted.quantity)
        return line

    def set_quantity(self, line: Line, quantity: int) -> None:
        """Change how many pieces a line holds; fewer is always allowed, more only from stock."""
        if quantity > MAX_QUANTITY:
            raise QuantityLimit
        is_more = quantity > line.quantity
        line.quantity = quantity
        line.seen_price_amount = line.unit_price_amount
        if is_more:
            if not line.is_available(self.currency):
                raise VariantUnavailable
            if line.variant_id in self.short_variants([line]):
                raise InsufficientStock(variant_ids=[str(line.variant_id)])
            if len(self.lines) > MAX_LINES or self.subtotal_amount > MAX_AMOUNT:
                raise CartFull

    def short_variants(self, lines: Iterable[Line]) -> set[UUID]:
        """The variants of these lines of which the cart holds more pieces than are available."""
        variants = {line.variant_id for line in lines}
        held = dict.fromkeys(variants, 0)
        left = dict.fromkeys(variants, 0)
        for line in self.lines:
            if line.variant_id in variants:
                held[line.variant_id] += line.quantity
                left[line.variant_id] = line.offer.available if line.offer else 0
        return {variant for variant in variants if held[variant] > left[variant]}

    def ensure_sellable(self) -> None:
        """Refuse to sell an empty cart, a line that is not for sale, or more than there is."""
        if not self.lines:
            raise CartEmpty
        gone = [line for line in self.lines if not line.is_available(self.currency)]
        if gone:
            if all(line.offer and line.offer.is_available for line in gone):
                raise CurrencyMismatch
            raise LineUnavailable(variant_ids=sorted(str(line.variant_id) for line in gone))
        short = self.short_variants(self.lines)
        if short:
            raise InsufficientStock(variant_ids=sorted(map(str, short)))
        if self.subtotal_amount > MAX_AMOUNT:
            raise CartFull
