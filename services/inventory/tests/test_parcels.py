"""Hand-overs and restocks are applied once per shipment and operation."""

from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from contracts.inventory import (
    Allocation,
    ReleaseStock,
    RestockUnits,
    StockChanged,
    StockReleased,
    StockReserved,
)
from inventory.domain.stock import BelowReserved, VariantUnknown
from inventory.domain.warehouse import WarehouseUnknown
from inventory.handlers import UnreservedShipment

from .shop import Shop, confirmed, parcel, wants


async def held(shop: Shop, *lines: tuple[UUID, int]) -> tuple[UUID, list[Allocation]]:
    """A confirmed order and what it holds."""
    order = wants(*lines)
    await shop.inventory.deliver(order)
    await shop.inventory.deliver(confirmed(order.order_id))
    (reserved,) = await shop.inventory.published(StockReserved)
    await shop.inventory.clear_outbox()
    return order.order_id, reserved.allocations


def release(order_id: UUID) -> ReleaseStock:
    return ReleaseStock(operation_id=new_id(), order_id=order_id)


async def test_a_parcel_deducts_its_pieces_on_hand_and_reserved(shop: Shop) -> None:
    mug = await shop.variant(5)
    order_id, pieces = await held(shop, (mug, 2))
    sent = parcel(order_id, *pieces)
    for _ in range(2):
        await shop.inventory.deliver(sent)

    assert await shop.pieces(mug) == [(3, 0)]
    assert await shop.state(order_id) == "fulfilled"
    (changed,) = await shop.inventory.published()
    assert (changed.on_hand, changed.reserved, changed.available) == (3, 0, 3)


async def test_the_same_parcel_twice_in_one_batch_counts_once(shop: Shop) -> None:
    mug = await shop.variant(5)
    order_id, pieces = await held(shop, (mug, 2))
    sent = parcel(order_id, *pieces)
    await shop.inventory.deliver(sent, sent)
    assert await shop.pieces(mug) == [(3, 0)]


async def test_several_parcels_fulfil_an_order_together(shop: Shop) -> None:
    mug = await shop.variant(2, 2)
    order_id, (here, there) = await held(shop, (mug, 3))
    half = here.model_copy(update={"quantity": 1})
    await shop.inventory.deliver(parcel(order_id, half))
    assert await shop.state(order_id) == "committed"
    await shop.inventory.deliver(parcel(order_id, half), parcel(order_id, there))

    assert await shop.pieces(mug) == [(0, 0), (1, 0)]
    assert await shop.state(order_id) == "fulfilled"
    await shop.inventory.deliver(confirmed(order_id))
    assert await shop.state(order_id) == "fulfilled"


async def test_a_hand_over_may_arrive_before_the_confirmation(shop: Shop) -> None:
    mug = await shop.variant(2, 2)
    order_id, (here, there) = await held(shop, (mug, 4))
    await shop.inventory.sql("update reservations set state = 'held'")
    await shop.inventory.deliver(parcel(order_id, here))
    await shop.inventory.deliver(confirmed(order_id))
    await shop.inventory.deliver(parcel(order_id, there))
    assert await shop.state(order_id) == "fulfilled"


async def test_a_release_after_a_partial_hand_over_frees_only_the_rest(shop: Shop) -> None:
    mug = await shop.variant(2, 2)
    order_id, (here, _there) = await held(shop, (mug, 4))
    await shop.inventory.deliver(parcel(order_id, here))
    for _ in range(2):
        await shop.inventory.deliver(release(order_id))

    assert await shop.pieces(mug) == [(0, 0), (2, 0)]
    assert await shop.state(order_id) == "released"
    assert len(await shop.inventory.published(StockReleased)) == 2


async def test_a_fulfilled_order_holds_nothing_to_release(shop: Shop) -> None:
    mug = await shop.variant(2)
    order_id, pieces = await held(shop, (mug, 2))
    await shop.inventory.deliver(parcel(order_id, *pieces))
    await shop.inventory.deliver(release(order_id))

    assert await shop.state(order_id) == "fulfilled"
    assert await shop.pieces(mug) == [(0, 0)]


async def test_a_release_that_overtakes_the_hand_over_still_counts_the_pieces_gone(
    shop: Shop,
) -> None:
    mug = await shop.variant(5)
    order_id, pieces = await held(shop, (mug, 2))
    await shop.inventory.deliver(release(order_id))
    await shop.inventory.deliver(parcel(order_id, *pieces))

    assert await shop.pieces(mug) == [(3, 0)]
    assert await shop.state(order_id) == "fulfilled"


async def test_a_hand_over_of_pieces_reserved_by_another_order_is_a_fault(shop: Shop) -> None:
    mug = await shop.variant(2)
    order_id, pieces = await held(shop, (mug, 2))
    await shop.inventory.deliver(release(order_id))
    await shop.inventory.deliver(wants((mug, 1)))
    with pytest.raises(BelowReserved):
        await shop.inventory.deliver(parcel(order_id, *pieces))
    assert await shop.pieces(mug) == [(2, 1)]


@pytest.mark.parametrize("change", ["quantity", "line", "warehouse", "order", "nothing"])
async def test_a_parcel_of_unreserved_pieces_is_a_fault(shop: Shop, change: str) -> None:
    mug = await shop.variant(5, 5)
    order_id, (piece,) = await held(shop, (mug, 2))
    changes: dict[str, dict[str, Any]] = {
        "quantity": {"quantity": 3},
        "line": {"line_id": new_id()},
        "warehouse": {"warehouse_id": shop.second},
        "order": {},
        "nothing": {"quantity": 0},
    }
    sent = parcel(
        new_id() if change == "order" else order_id, piece.model_copy(update=changes[change])
    )
    with pytest.raises(UnreservedShipment):
        await shop.inventory.deliver(sent)
    assert await shop.pieces(mug) == [(5, 2), (5, 0)]
    assert await shop.inventory.sql("select 1 from stock_operations") == []


def came_back(order_id: UUID, *lines: Allocation, reason: str = "returned") -> RestockUnits:
    return RestockUnits(operation_id=new_id(), order_id=order_id, lines=list(lines), reason=reason)


async def test_returned_pieces_are_restocked_once(shop: Shop) -> None:
    mug = await shop.variant(2)
    order_id, pieces = await held(shop, (mug, 2))
    await shop.inventory.deliver(parcel(order_id, *pieces))
    await shop.inventory.clear_outbox()
    back = came_back(order_id, *pieces, reason="r" * 900)
    for _ in range(2):
        await shop.inventory.deliver(back)

    assert await shop.pieces(mug) == [(2, 0)]
    changed, _came_back = await shop.inventory.published()
    assert type(changed) is StockChanged
    (moved,) = await shop.inventory.sql("select * from stock_movements where operation = 'restock'")
    assert (moved.reference_type, moved.reference_id, moved.adjustment) == ("return", order_id, 2)
    assert moved.reason == "r" * 500


async def test_pieces_may_return_to_another_warehouse(shop: Shop) -> None:
    mug = await shop.variant(2)
    order_id, (piece,) = await held(shop, (mug, 2))
    await shop.inventory.deliver(parcel(order_id, piece))
    elsewhere = piece.model_copy(update={"warehouse_id": shop.second})
    await shop.inventory.deliver(came_back(order_id, elsewhere, reason=""))
    assert await shop.pieces(mug) == [(0, 0), (2, 0)]


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"variant_id": new_id()}, VariantUnknown),
        ({"warehouse_id": new_id()}, WarehouseUnknown),
        ({"quantity": -1}, ValueError),
    ],
)
async def test_an_invalid_restock_is_a_fault(
    shop: Shop, wrong: dict[str, Any], fault: type[Exception]
) -> None:
    mug = await shop.variant(2)
    order_id, (piece,) = await held(shop, (mug, 1))
    with pytest.raises(fault):
        await shop.inventory.deliver(came_back(order_id, piece.model_copy(update=wrong)))
    assert await shop.inventory.sql("select 1 from stock_operations") == []


async def test_hand_over_and_release_end_the_same_in_every_order(shop: Shop) -> None:
    ends = []
    for places in permutations(range(4)):
        mug = await shop.variant(2, 2)
        order = wants((mug, 3))
        await shop.inventory.clear_outbox()
        await shop.inventory.deliver(order)
        (reserved,) = await shop.inventory.published(StockReserved)
        here, there = reserved.allocations
        messages = [
            confirmed(order.order_id),
            parcel(order.order_id, here),
            parcel(order.order_id, there),
            release(order.order_id),
        ]
        for place in places:
            await shop.inventory.deliver(messages[place])
        ends.append((await shop.pieces(mug), await shop.state(order.order_id)))
    assert ends == [([(0, 0), (1, 0)], "fulfilled")] * 24
