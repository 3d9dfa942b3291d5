"""What a cart costs: lines, discount, shipping and taxes become amounts that add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from cart.domain.tax import Destination

BASIS = 10_000


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
    return half_even(amount * rate_bps, BASIS + rate_bps if included else BASIS)


def cost(
    goods: Sequence[Goods], *, discount: int, shipping: int, taxes: Destination | None
) -> Cost:
    """Price a cart: discount over the lines, then shipping, then tax per line on what is left.

    A discount never exceeds the goods. Without `taxes` (no address yet) there is no tax to tell.
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
