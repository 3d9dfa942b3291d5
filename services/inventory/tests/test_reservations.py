"""Orders reserve all lines or none, once, in the order of arrival."""

from datetime import timedelta
from uuid import UUID

import pytest

from chassis.ids import new_id, utcnow
from contracts.inventory import (
    ReleaseStock,
    ReserveStock,
    StockChanged,
    StockRejected,
    StockReleased,
    StockReserved,
)

from .shop import Shop, confirmed, wants


def release(order_id: UUID) -> ReleaseStock:
    return ReleaseStock(operation_id=new_id(), order_id=order_id)


async def test_all_lines_are_held_warehouse_after_warehouse(shop: Shop) -> None:
    mug, pot = await shop.variant(2, 5), await shop.variant(3)
    order = wants((mug, 4), (pot, 1))
    await shop.inventory.deliver(order)

    (reserved,) = await shop.inventory.published(StockReserved)
    held = [(a.variant_id, a.warehouse_id, a.quantity) for a in reserved.allocations]
    assert held == [(mug, shop.first, 2), (mug, shop.second, 2), (pot, shop.first, 1)]
    assert await shop.pieces(mug) == [(2, 2), (5, 2)]
    assert await shop.state(order.order_id) == "held"


async def test_one_short_line_rejects_the_whole_order(shop: Shop) -> None:
    mug, pot = await shop.variant(2, 1), await shop.variant(3)
    order = wants((pot, 3), (mug, 4))
    await shop.inventory.deliver(order)

    (rejected,) = await shop.inventory.published()
    assert rejected.reason == "insufficient"
    assert [(s.variant_id, s.wanted, s.available) for s in rejected.shortages] == [(mug, 4, 3)]
    assert await shop.pieces(pot) == [(3, 0)]


async def test_two_lines_of_one_variant_are_counted_together(shop: Shop) -> None:
    mug = await shop.variant(3)
    await shop.inventory.deliver(wants((mug, 2), (mug, 2)), wants((mug, 1), (mug, 2)))

    rejected, reserved = await shop.inventory.published(StockRejected, StockReserved)
    assert rejected.shortages[0].wanted == 4
    assert [a.quantity for a in reserved.allocations] == [1, 2]
    assert await shop.pieces(mug) == [(3, 3)]


async def test_a_batch_is_served_in_order_and_publishes_each_variant_once(
    shop: Shop,
) -> None:
    mug = await shop.variant(3)
    orders = [wants((mug, 2)), wants((mug, 2)), wants((mug, 1)), wants((mug, 1))]
    await shop.inventory.deliver(*orders)

    answers = await shop.inventory.published(StockReserved, StockRejected)
    assert [type(answer) for answer in answers] == [
        StockReserved,
        StockRejected,
        StockReserved,
        StockRejected,
    ]
    (changed,) = await shop.inventory.published(StockChanged)
    assert (changed.on_hand, changed.reserved, changed.availability) == (3, 3, "out_of_stock")


async def test_an_unknown_variant_is_a_shortage(shop: Shop) -> None:
    await shop.inventory.deliver(wants((new_id(), 1)))
    (rejected,) = await shop.inventory.published(StockRejected)
    assert rejected.shortages[0].available == 0


async def test_a_huge_quantity_is_a_shortage(shop: Shop) -> None:
    mug = await shop.variant(1)
    order = wants((mug, 10**30))
    await shop.inventory.deliver(order)
    await shop.inventory.deliver(order)
    assert [m.shortages[0].wanted for m in await shop.inventory.published()] == [10**30, 10**30]


async def test_a_repeat_gets_the_stored_answer(shop: Shop) -> None:
    mug = await shop.variant(1)
    taken, refused = wants((mug, 1)), wants((mug, 1))
    await shop.inventory.deliver(taken, refused)
    await shop.inventory.deliver(refused, taken)
    await shop.inventory.deliver(taken, taken)

    answers = [m for m in await shop.inventory.published() if not isinstance(m, StockChanged)]
    of_taken = [m for m in answers if getattr(m, "order_id", None) == taken.order_id]
    of_refused = [m for m in answers if getattr(m, "order_id", None) == refused.order_id]
    assert {m.model_dump_json() for m in of_taken} == {of_taken[0].model_dump_json()}
    assert {m.model_dump_json() for m in of_refused} == {of_refused[0].model_dump_json()}
    assert [m.sequence for m in of_taken] == [1, 2, 3, 4]
    assert [m.sequence for m in of_refused] == [1, 2]
    assert await shop.pieces(mug) == [(1, 1)]


async def test_the_same_order_twice_in_one_batch_holds_once(shop: Shop) -> None:
    mug = await shop.variant(5)
    order = wants((mug, 2))
    await shop.inventory.deliver(order, order)

    assert [m.sequence for m in await shop.inventory.published(StockReserved)] == [1, 2]
    assert await shop.pieces(mug) == [(5, 2)]


async def test_an_expired_order_is_rejected_for_good(shop: Shop) -> None:
    mug = await shop.variant(5)
    late = wants((mug, 2), expires_at=utcnow() - timedelta(seconds=1))
    await shop.inventory.deliver(late)
    await shop.inventory.deliver(late.model_copy(update={"expires_at": None}))

    assert [m.reason for m in await shop.inventory.published(StockRejected)] == [
        "expired",
        "expired",
    ]
    assert await shop.pieces(mug) == [(5, 0)]


async def test_a_repeat_after_the_deadline_is_still_reserved(shop: Shop) -> None:
    mug = await shop.variant(5)
    order = wants((mug, 2))
    await shop.inventory.deliver(order)
    await shop.inventory.deliver(
        order.model_copy(update={"expires_at": utcnow() - timedelta(seconds=1)})
    )
    assert len(await shop.inventory.published(StockReserved)) == 2


async def test_released_stock_can_be_reserved_again(shop: Shop) -> None:
    mug = await shop.variant(2, 2)
    order = wants((mug, 3))
    await shop.inventory.deliver(order)
    for _ in range(2):
        await shop.inventory.deliver(release(order.order_id))

    assert [m.sequence for m in await shop.inventory.published(StockReleased)] == [2, 3]
    assert await shop.pieces(mug) == [(2, 0), (2, 0)]
    assert await shop.state(order.order_id) == "released"


async def test_a_release_that_overtakes_its_reservation_rejects_it(shop: Shop) -> None:
    mug = await shop.variant(2)
    order = wants((mug, 1))
    await shop.inventory.deliver(release(order.order_id))
    await shop.inventory.deliver(order)
    await shop.inventory.deliver(release(order.order_id), order)

    answers = await shop.inventory.published()
    assert [type(m) for m in answers] == [
        StockReleased,
        StockRejected,
        StockReleased,
        StockRejected,
    ]
    assert {m.reason for m in answers if isinstance(m, StockRejected)} == {"released"}
    assert [m.sequence for m in answers] == [1, 2, 3, 4]
    assert await shop.pieces(mug) == [(2, 0)]


async def test_a_reservation_and_its_release_in_one_batch(shop: Shop) -> None:
    mug = await shop.variant(2)
    order = wants((mug, 1))
    await shop.inventory.deliver(order, release(order.order_id), order)

    answers = await shop.inventory.published(StockReserved, StockReleased, StockRejected)
    assert [type(m) for m in answers] == [StockReserved, StockReleased, StockRejected]


async def test_the_release_of_a_rejected_order_has_no_effect(shop: Shop) -> None:
    mug = await shop.variant(1)
    order = wants((mug, 2))
    await shop.inventory.deliver(order)
    await shop.inventory.deliver(release(order.order_id))
    assert [type(m) for m in await shop.inventory.published()] == [StockRejected, StockReleased]


async def test_a_confirmed_order_can_be_released_until_the_hand_over(shop: Shop) -> None:
    mug = await shop.variant(2)
    order, stranger = wants((mug, 2)), new_id()
    await shop.inventory.deliver(order)
    for _ in range(2):
        await shop.inventory.deliver(confirmed(order.order_id), confirmed(stranger))
    assert await shop.state(order.order_id) == "committed"
    await shop.inventory.deliver(release(order.order_id))
    await shop.inventory.deliver(confirmed(order.order_id))

    assert await shop.state(order.order_id) == "released"
    assert await shop.pieces(mug) == [(2, 0)]


async def test_stock_in_an_inactive_warehouse_is_not_reserved(shop: Shop) -> None:
    mug = await shop.variant(2, 2)
    await shop.inventory.sql("update warehouses set is_active = false where code = 'W1'")
    await shop.inventory.deliver(wants((mug, 3)), wants((mug, 1)))

    (rejected,) = await shop.inventory.published(StockRejected)
    assert rejected.shortages[0].available == 2
    assert await shop.pieces(mug) == [(2, 0), (2, 1)]


@pytest.mark.parametrize("quantity", [0, -3])
async def test_a_line_without_pieces_is_a_fault_and_changes_nothing(
    shop: Shop, quantity: int
) -> None:
    mug = await shop.variant(2)
    order: ReserveStock = wants((mug, quantity))
    with pytest.raises(ValueError, match="wants"):
        await shop.inventory.deliver(order)
    assert await shop.pieces(mug) == [(2, 0)]
    assert await shop.inventory.sql("select 1 from reservations") == []
