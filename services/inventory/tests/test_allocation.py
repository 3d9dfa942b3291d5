"""The rules by which locked stock is reserved, without a database."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ids import new_id
from contracts.inventory import Allocation, WantedLine
from inventory.domain.reservation import LockedStock
from inventory.domain.stock import (
    BelowReserved,
    MovementReason,
    StockItem,
    StockLevel,
    TooManyPieces,
    availability_of,
)

VARIANTS = [new_id() for _ in range(3)]
WAREHOUSES = [new_id() for _ in range(3)]
COUNTED = MovementReason("counted", "manual")


def level(variant_id: UUID, items: list[StockItem]) -> StockLevel:
    made = StockLevel(variant_id, new_id(), "MUG", None, 0, 0, 10, "out_of_stock", 0)
    made.update_from(items)
    return made


def stock_of(items: dict[UUID, list[StockItem]]) -> LockedStock:
    return LockedStock({v: level(v, on) for v, on in items.items()}, items)


def stock_of_one_item(on_hand: int, reserved: int = 0) -> tuple[LockedStock, StockItem]:
    item = StockItem(VARIANTS[0], WAREHOUSES[0], True, on_hand, reserved, 10, 1)
    return stock_of({VARIANTS[0]: [item]}), item


@st.composite
def stocks(draw: st.DrawFn) -> LockedStock:
    items: dict[UUID, list[StockItem]] = {}
    for variant_id in draw(st.sets(st.sampled_from(VARIANTS))):
        items[variant_id] = []
        for warehouse_id in WAREHOUSES[: draw(st.integers(0, 3))]:
            on_hand = draw(st.integers(0, 8))
            reserved = draw(st.integers(0, on_hand))
            is_active = draw(st.booleans())
            items[variant_id].append(
                StockItem(variant_id, warehouse_id, is_active, on_hand, reserved, 2, 1)
            )
    return stock_of(items)


lines = st.builds(
    WantedLine,
    line_id=st.builds(new_id),
    variant_id=st.sampled_from(VARIANTS),
    quantity=st.integers(1, 9),
)
orders = st.lists(st.lists(lines, max_size=4), max_size=6)


def free(stock: LockedStock, variant_id: UUID) -> int:
    return sum(s.on_hand - s.reserved for s in stock.items.get(variant_id, []) if s.is_active)


def wanted_by(order: list[WantedLine]) -> dict[UUID, int]:
    return {
        v: sum(line.quantity for line in order if line.variant_id == v)
        for v in {line.variant_id for line in order}
    }


def reserved(stock: LockedStock) -> list[int]:
    return [s.reserved for on in stock.items.values() for s in on]


@given(stocks(), orders)
def test_every_order_gets_all_it_wants_or_nothing(
    stock: LockedStock, arriving: list[list[WantedLine]]
) -> None:
    before = sum(reserved(stock))
    held = 0
    for order in arriving:
        fits = all(pieces <= free(stock, v) for v, pieces in wanted_by(order).items())
        untouched = reserved(stock)
        shortages = stock.shortages(order)
        assert reserved(stock) == untouched
        assert bool(shortages) is not fits
        if fits:
            allocations = stock.reserve(new_id(), order)
            for line in order:
                assert line.quantity == sum(
                    a.quantity for a in allocations if a.line_id == line.line_id
                )
            held += sum(line.quantity for line in order)
            assert_emptied_in_order(stock, allocations)
        else:
            assert {s.variant_id for s in shortages} == {
                v for v, pieces in wanted_by(order).items() if pieces > free(stock, v)
            }
    assert all(0 <= s.reserved <= s.on_hand for on in stock.items.values() for s in on)
    assert sum(reserved(stock)) == before + held
    assert sum(m.new - m.previous for m in stock.movements) == held


def assert_emptied_in_order(stock: LockedStock, allocations: list[Allocation]) -> None:
    """No warehouse is used while one before it has pieces left, and none that is inactive."""
    for used in allocations:
        assert used.quantity > 0
        for item in stock.items[used.variant_id]:
            if item.warehouse_id == used.warehouse_id:
                assert item.is_active
                break
            assert not item.is_active or item.available == 0


@given(stocks(), orders)
def test_releasing_everything_restores_the_stock(
    stock: LockedStock, arriving: list[list[WantedLine]]
) -> None:
    before = reserved(stock)
    held = [
        (order_id, a)
        for order_id, order in ((new_id(), order) for order in arriving)
        if not stock.shortages(order)
        for a in stock.reserve(order_id, order)
    ]
    for order_id, a in held:
        stock.release(stock.item(a.variant_id, a.warehouse_id), a.quantity, order_id)
    assert reserved(stock) == before
    assert sum(m.new - m.previous for m in stock.movements) == 0


@given(stocks(), orders)
def test_a_level_adds_up_its_active_items(
    stock: LockedStock, arriving: list[list[WantedLine]]
) -> None:
    for order in arriving:
        if not stock.shortages(order):
            stock.reserve(new_id(), order)
    numbers = {v: level.sequence for v, level in stock.levels.items()}
    published = stock.update_levels()
    for variant_id, level in stock.levels.items():
        assert level.on_hand - level.reserved == free(stock, variant_id)
        assert level.availability == availability_of(free(stock, variant_id), 2) or not any(
            s.is_active for s in stock.items[variant_id]
        )
        events = published.get(variant_id, [])
        first = numbers[variant_id] + 1
        assert [e.sequence for e in events] == list(range(first, first + len(events)))
    assert stock.update_levels() == {}


def test_a_count_below_the_reserved_pieces_is_refused() -> None:
    stock, item = stock_of_one_item(5, reserved=3)
    with pytest.raises(BelowReserved):
        stock.count(item, 2, COUNTED)
    with pytest.raises(BelowReserved):
        stock.adjust(item, -3, COUNTED)
    stock.count(item, 3, COUNTED)
    assert item.on_hand == 3


def test_a_count_above_the_maximum_is_refused() -> None:
    stock, item = stock_of_one_item(10**9)
    with pytest.raises(TooManyPieces):
        stock.adjust(item, 1, COUNTED)


def test_the_version_changes_with_counts_and_not_with_reservations() -> None:
    stock, item = stock_of_one_item(5)
    stock.reserve(new_id(), [WantedLine(line_id=new_id(), variant_id=VARIANTS[0], quantity=1)])
    assert item.version == 1
    stock.count(item, 6, COUNTED)
    item.set_low_stock_threshold(3)
    assert item.version == 2


def test_an_unchanged_count_moves_nothing() -> None:
    stock, item = stock_of_one_item(5)
    stock.count(item, 5, COUNTED)
    item.set_low_stock_threshold(10)
    assert stock.movements == []
    assert item.version == 1
