"""On request inventory sends a snapshot of each variant's stock, page by page."""

from typing import Any

import pytest

from chassis.ids import new_id
from contracts.inventory import (
    RequestStockSnapshots,
    StockSnapshot,
    StockSnapshotsCompleted,
)
from inventory import handlers

from .shop import Shop


def request() -> RequestStockSnapshots:
    return RequestStockSnapshots(
        operation_id=new_id(), request_id=new_id(), reply_to="ext.erp.events"
    )


async def test_a_snapshot_has_the_present_stock_and_its_sequence(inventory: Any) -> None:
    shop = await Shop.open(inventory)
    variants = [await shop.variant(7), await shop.variant(3, 4)]
    rows = await inventory.sql("select variant_id, sequence, on_hand, reserved from stock_levels")
    last = {row[0]: (row[1], row[2], row[3]) for row in rows}
    await inventory.clear_outbox()
    await inventory.deliver(request())
    snapshots = await inventory.published(StockSnapshot)
    assert {each.variant_id for each in snapshots} == set(variants)
    for each in snapshots:
        assert (each.sequence, each.on_hand, each.reserved) == last[each.variant_id]
        assert each.available == each.on_hand - each.reserved
    (end,) = await inventory.published(StockSnapshotsCompleted)
    assert end.sent == 2
    ways = await inventory.sql("select distinct exchange, routing_key from outbox")
    assert [tuple(way) for way in ways] == [("snapshots", "ext.erp.events")]


async def test_many_snapshots_are_sent_in_pages(
    inventory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "PAGE", 2)
    shop = await Shop.open(inventory)
    variants = {await shop.variant(n + 1) for n in range(4)}
    await inventory.clear_outbox()
    pending: list[Any] = [request()]
    snapshots: list[Any] = []
    while pending:
        await inventory.deliver(*pending)
        snapshots += [each.variant_id for each in await inventory.published(StockSnapshot)]
        pending = await inventory.published(RequestStockSnapshots)
        ends = await inventory.published(StockSnapshotsCompleted)
        await inventory.clear_outbox()
    assert len(snapshots) == len(set(snapshots)) == 4
    assert set(snapshots) == variants
    assert [end.sent for end in ends] == [4]
