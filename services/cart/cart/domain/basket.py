"""A cart as one reads it: its lines beside what is offered now, and what may be done with it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from cart.domain.product import Offer, check_customization
from chassis.errors import NotFound, Problem, Refused
from contracts.money import MAX_AMOUNT

MAX_QUANTITY = 99
MAX_LINES = 100


class CartLocked(Refused):
    """The cart is being paid for; cancel its order to change it."""

    code = "cart_locked"


class CartConverted(Refused):
    """The cart was bought; start a new one."""

    code = "cart_converted"


class CartExpired(Problem):
    """The cart was given up or merged into another; start a new one."""

    status = 410
    code = "cart_expired"


class CartBusy(Refused):
    """The cart keeps changing; try again."""

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
    """Fewer pieces are left than were asked for."""

    code = "insufficient_stock"


class CurrencyMismatch(Refused):
    """Everything in a cart is in one currency."""

    code = "currency_mismatch"


def customization_key(customization: Mapping[str, str] | None) -> str:
    """Tell two customizations of a variant apart; empty for none."""
    if not customization:
        return ""
    return hashlib.sha256(json.dumps(customization, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a customer wants to put into a cart."""

    variant_id: UUID
    quantity: int
    customization: Mapping[str, str] | None = None


@dataclass(slots=True)
class Line:
    """A row of a cart beside what is offered now; `offer` is None for a variant never heard of.

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
class Basket:
    """A cart with its lines as one reads it; the fields are those of `Cart`."""

    id: UUID
    customer_id: UUID | None
    email: str | None
    currency: str
    status: str
    coupon_code: str | None
    shipping_address: dict[str, str] | None
    billing_address: dict[str, str] | None
    shipping_method_id: UUID | None
    order_id: UUID | None
    locked: dict[str, Any] | None
    merged_into: UUID | None
    version: int
    lines: list[Line] = field(default_factory=list)

    def must_be_active(self) -> None:
        """Refuse whatever would change a cart that is not open any more."""
        if self.status != "active":
            self.refuse_as_closed()

    def refuse_as_closed(self) -> NoReturn:
        """Say why this cart is closed."""
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
        """Put pieces in; those of an equal line are added to it, at today's price."""
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
        """Name the variants of these lines of which the cart holds more pieces than are left."""
        variants = {line.variant_id for line in lines}
        held = dict.fromkeys(variants, 0)
        left = dict.fromkeys(variants, 0)
        for line in self.lines:
            if line.variant_id in variants:
                held[line.variant_id] += line.quantity
                left[line.variant_id] = line.offer.available if line.offer else 0
        return {variant for variant in variants if held[variant] > left[variant]}

    def must_be_sellable(self) -> None:
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
