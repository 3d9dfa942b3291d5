"""The events of a variant's level: each change once, numbered, with its crossing."""

from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from contracts.inventory import (
    ReleaseStock,
    StockCameBack,
    StockChanged,
    StockEvent,
    StockRanLow,
    StockRanOut,
)
from inventory.domain.stock import availability_of

from .shop import Shop, product, wants


@pytest.mark.parametrize(
    ("available", "expected"),
    [(0, "out_of_stock"), (1, "low_stock"), (10, "low_stock"), (11, "in_stock")],
)
def test_availability_by_pieces(available: int, expected: str) -> None:
    assert availability_of(available, 10) == expected


def test_with_a_threshold_of_zero_no_stock_is_low() -> None:
    assert availability_of(1, 0) == "in_stock"


async def new_events(shop: Shop, variant_id: UUID) -> list[Any]:
    """The variant's new events, checked to be numbered without a gap."""
    events = [m for m in await shop.inventory.published() if isinstance(m, StockEvent)]
    await shop.inventory.clear_outbox()
    assert {e.variant_id for e in events} <= {variant_id}
    numbers = [e.sequence for e in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    return events


def kinds(events: list[Any]) -> list[type]:
    return [type(event) for event in events]


async def test_stock_runs_low_runs_out_and_comes_back(shop: Shop) -> None:
    mug = await shop.variant(12, 3)
    some, most, rest = wants((mug, 4)), wants((mug, 1)), wants((mug, 10))

    await shop.inventory.deliver(some)
    assert kinds(await new_events(shop, mug)) == [StockChanged]
    await shop.inventory.deliver(most)
    changed, low = await new_events(shop, mug)
    assert (changed.availability, low.available, low.threshold) == ("low_stock", 10, 10)
    await shop.inventory.deliver(rest)
    assert kinds(await new_events(shop, mug)) == [StockChanged, StockRanOut]
    await shop.inventory.deliver(ReleaseStock(operation_id=new_id(), order_id=most.order_id))
    assert kinds(await new_events(shop, mug)) == [StockChanged, StockCameBack]
    await shop.inventory.deliver(ReleaseStock(operation_id=new_id(), order_id=rest.order_id))
    (changed,) = await new_events(shop, mug)
    assert (changed.on_hand, changed.reserved, changed.available) == (15, 4, 11)
    assert (changed.availability, changed.sequence) == ("in_stock", 10)


async def test_the_first_stock_of_a_variant_is_no_stock_that_came_back(shop: Shop) -> None:
    variant = product()
    await shop.inventory.deliver(variant)
    mug = variant.variants[0].variant_id
    await shop.count(mug, shop.first, 5)

    (changed,) = await new_events(shop, mug)
    assert (changed.sku, changed.product_id) == ("MUG-0", variant.product_id)
    assert changed.sequence == 1


async def test_a_batch_publishes_each_variant_once(shop: Shop) -> None:
    mug, pot = await shop.variant(20), await shop.variant(20)
    await shop.inventory.deliver(wants((mug, 1), (pot, 1), (mug, 1)), wants((pot, 3)))

    changed = {e.variant_id: e for e in await shop.inventory.published(StockChanged)}
    assert changed[mug].reserved == 2
    assert changed[pot].reserved == 4
    assert len(await shop.inventory.published(StockChanged)) == 2


async def test_an_event_is_correlated_with_the_order_that_moved_the_variant_last(
    shop: Shop,
) -> None:
    mug, pot = await shop.variant(20), await shop.variant(20)
    first, last = wants((mug, 1), (pot, 1)), wants((mug, 1))
    await shop.inventory.deliver(first, last)

    rows = await shop.inventory.sql(
        "select subject, headers->>'cloudEvents:correlationid' from outbox "
        "where routing_key = 'inventory.StockChanged'"
    )
    assert dict(tuple(row) for row in rows) == {
        str(mug): str(last.order_id),
        str(pot): str(first.order_id),
    }


async def test_a_closing_warehouse_takes_its_stock_off_sale(shop: Shop) -> None:
    mug = await shop.variant(5, 20)
    url = f"/v1/admin/warehouses/{shop.second}"
    body = {"code": "W2", "name": "Second", "priority": 1}
    for version, is_active in ((1, False), (2, True), (3, True)):
        answer = await shop.inventory.client.put(
            url,
            json={**body, "is_active": is_active},
            headers={**shop.staff(), "If-Match": f'"{version}"'},
        )
        assert answer.status_code == 200, answer.text

    off, low, on = await new_events(shop, mug)
    assert (off.on_hand, off.availability) == (5, "low_stock")
    assert type(low) is StockRanLow
    assert (on.on_hand, on.availability) == (25, "in_stock")


async def test_a_raised_threshold_makes_the_stock_low(shop: Shop) -> None:
    mug = await shop.variant(20)
    answer = await shop.inventory.client.put(
        f"/v1/admin/stock/{mug}/{shop.first}",
        json={"on_hand": 20, "low_stock_threshold": 30, "reason": "sells fast"},
        headers={**shop.staff(), "If-Match": '"2"'},
    )
    assert answer.status_code == 200, answer.text
    assert kinds(await new_events(shop, mug)) == [StockChanged, StockRanLow]


async def test_a_rejected_order_publishes_no_stock_event(shop: Shop) -> None:
    mug = await shop.variant(1)
    await shop.inventory.deliver(wants((mug, 2)))
    assert await new_events(shop, mug) == []
