"""The sample shop's generated content, and its client without a shop."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from suite.shop import catalogue
from suite.shop.gateway import TimedOut, each, together
from suite.shop.goods import batches
from suite.shop.people import logins_of, password_of
from suite.shop.seeding import seed
from suite.shop.story import story_of

PRODUCTS = catalogue.products()
VARIANTS = [variant for product in PRODUCTS for variant in product.body["variants"]]


def test_the_sample_products_are_deterministic() -> None:
    assert catalogue.products() == PRODUCTS
    assert len(PRODUCTS) == 300


def test_slugs_and_skus_are_unique() -> None:
    categories = [each["slug"] for level in catalogue.category_levels() for each in level]
    for names in (
        [product.slug for product in PRODUCTS],
        [variant["sku"] for variant in VARIANTS],
        categories,
    ):
        assert [name for name, count in Counter(names).items() if count > 1] == []
    assert {product.category for product in PRODUCTS} <= set(categories)
    assert max(len(variant["sku"]) for variant in VARIANTS) <= 50


def test_the_category_tree_has_three_levels() -> None:
    levels = catalogue.category_levels()
    for above, below in pairwise(levels):
        assert {each["parent"] for each in below} == {each["slug"] for each in above}
    assert not any("parent" in each for each in levels[0])


def test_variants_of_a_product_differ_and_discounts_are_below_the_price() -> None:
    for product in PRODUCTS:
        variants = product.body["variants"]
        options = [str(variant["options"]) for variant in variants]
        assert len(set(options)) == len(options)
        assert len(variants) == 1 or all(variant["options"] for variant in variants)
        discount = product.body.get("discount_price")
        assert discount is None or 0 < discount["amount"] < product.body["base_price"]["amount"]


def test_stock_is_mostly_high_sometimes_low_and_rarely_zero() -> None:
    pieces = [sum(counts) for product in PRODUCTS for counts in product.stock.values()]
    assert 0 < pieces.count(0) < len(pieces) / 10
    assert any(0 < each < 10 for each in pieces)
    assert sum(each >= 30 for each in pieces) > len(pieces) / 2


def test_sample_passwords_depend_on_the_administrators_password() -> None:
    logins = logins_of("admin@cartwright.example", "one secret")
    assert [login.role for login in logins] == ["admin", "staff", "support", "seller", "customer"]
    assert len({login.password for login in logins}) == len(logins)
    email = logins[1].email
    assert password_of(email, "one secret") == logins[1].password
    assert password_of(email, "another secret") != logins[1].password


def test_batches_contain_every_row_once() -> None:
    assert batches([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert batches([], 2) == []


async def test_the_first_of_several_failures_is_raised() -> None:
    async def refuse(number: int) -> None:
        raise TimedOut(f"{number}")

    async def refuse_again(number: int) -> None:
        await each([number, number], refuse)

    with pytest.raises(TimedOut, match="1"):
        await together(refuse_again(1), refuse_again(2))
    assert await each([1, 2, 3], lambda number: asyncio.sleep(0, number)) == [1, 2, 3]


async def test_an_unreachable_shop_is_a_refusal() -> None:
    with pytest.raises(TimedOut, match="no answer"):
        await seed("http://127.0.0.1:9", "admin@cartwright.example", "secret", print)


def test_the_story_shows_milliseconds_since_the_order_was_placed() -> None:
    placed_at = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    order = {"order_number": "2026-000001", "placed_at": placed_at.isoformat()}
    step = {
        "at": placed_at.replace(microsecond=42_000).isoformat(),
        "stage": "reserving",
        "heard": "StockReserved",
        "next_stage": "collecting",
        "sent": ["CollectPayment"],
    }
    table = story_of(order, {"stage": "completed", "steps": [step]})
    assert [list(column.cells) for column in table.columns] == [
        ["42"], ["reserving"], ["StockReserved"], ["collecting"], ["CollectPayment"],
    ]  # fmt: skip
