"""Prices: the parts of every cart sum to its total."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart.domain.pricing import (
    Goods,
    PlaceTaxes,
    TaxRate,
    TaxTable,
    compute_cost,
    half_even,
    spread,
    tax_in,
)
from chassis.ids import new_id

amounts = st.integers(min_value=0, max_value=10**12)
weights = st.lists(st.integers(min_value=0, max_value=10**12), max_size=20)
rates = st.integers(min_value=0, max_value=10_000)


@given(weights, st.integers(min_value=0, max_value=10_000))
def test_a_discount_is_spread_without_a_remainder(parts: list[int], share: int) -> None:
    amount = sum(parts) * share // 10_000
    parts_of_discount = spread(amount, parts)
    assert sum(parts_of_discount) == amount
    assert all(0 <= part <= weight for part, weight in zip(parts_of_discount, parts, strict=True))
    exact = [amount * weight / (sum(parts) or 1) for weight in parts]
    assert all(
        abs(part - share) <= 1 + share * 1e-9
        for part, share in zip(parts_of_discount, exact, strict=True)
    )


@given(
    weights,
    amounts,
    amounts,
    st.builds(PlaceTaxes, st.booleans(), st.fixed_dictionaries({None: rates, UUID(int=1): rates})),
)
def test_the_parts_always_sum_to_the_total(
    lines: list[int], discount: int, shipping: int, taxes: PlaceTaxes
) -> None:
    book, included = UUID(int=1), taxes.prices_include_tax
    goods = [Goods(amount, (book,) if i % 2 else ()) for i, amount in enumerate(lines)]
    costs = compute_cost(goods, discount=discount, shipping=shipping, taxes=taxes)

    added_tax = 0 if included else costs.tax_amount
    net = costs.subtotal_amount - costs.discount_amount + costs.shipping_amount
    assert costs.total_amount == net + added_tax
    shipping_tax = costs.tax_amount - sum(line.tax_amount for line in costs.lines)
    shipped = costs.shipping_amount + (0 if included else shipping_tax)
    assert costs.total_amount == sum(line.total_amount for line in costs.lines) + shipped
    assert costs.discount_amount == sum(line.discount_amount for line in costs.lines)
    assert costs.discount_amount == min(discount, costs.subtotal_amount)
    assert all(line.total_amount >= 0 for line in costs.lines)
    assert 0 <= shipping_tax <= shipping


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(5, 10, 0), (15, 10, 2), (25, 10, 2), (26, 10, 3), (24, 10, 2), (0, 3, 0), (2, 3, 1)],
)
def test_a_tie_rounds_to_the_even_number(numerator: int, denominator: int, expected: int) -> None:
    assert half_even(numerator, denominator) == expected


def test_tax_is_added_to_a_price_or_included_in_it() -> None:
    assert tax_in(10_000, 1900, included=False) == 1900
    assert tax_in(11_900, 1900, included=True) == 1900
    assert tax_in(1050, 1000, included=False) == 105
    assert tax_in(25, 1000, included=False) == 2


def test_the_largest_remainder_gets_the_extra_unit() -> None:
    assert spread(100, [1, 1, 1]) == [34, 33, 33]
    assert spread(10, [999, 1]) == [10, 0]
    assert spread(0, [3, 4]) == [0, 0]
    assert spread(5, []) == []


def rate(
    bps: int, *, country: str = "US", state: str = "", category: UUID | None = None
) -> TaxRate:
    return TaxRate(
        id=new_id(),
        country=country,
        state=state,
        category_id=category,
        rate_bps=bps,
        prices_include_tax=country == "DE",
    )


def test_the_most_specific_rate_applies() -> None:
    book, media = new_id(), new_id()
    table = TaxTable(
        [
            rate(500),
            rate(300, category=media),
            rate(700, state="CA"),
            rate(1900, country="DE"),
            rate(700, country="DE", category=book),
        ]
    )
    assert table.at("US", "CA").rate_for([book, media]) == 700
    assert table.at("US", "IL").rate_for([book, media]) == 300
    assert table.at("US", "IL").rate_for([]) == 500
    assert table.at("DE", "").rate_for([book]) == 700
    assert table.at("DE", "BY").rate_for([media]) == 1900
    assert table.at("DE", "").prices_include_tax
    assert not table.at("US", "").prices_include_tax
    assert table.at("FR", "").rate_for([book]) == 0
