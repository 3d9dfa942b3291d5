"""On request the catalogue sends a snapshot of each product, page by page."""

from typing import Any
from uuid import UUID

import pytest

from catalog import handlers
from chassis.ids import new_id
from contracts.catalog import (
    ProductChanged,
    ProductSnapshot,
    ProductSnapshotsCompleted,
    RequestProductSnapshots,
)


def request(**changes: Any) -> RequestProductSnapshots:
    known = {"operation_id": new_id(), "request_id": new_id(), "reply_to": "svc.cart"}
    return RequestProductSnapshots(**{**known, **changes})


async def test_a_snapshot_has_the_present_state_and_its_sequence(shop: Any, catalog: Any) -> None:
    category = await shop.category()
    shirt = await shop.product(category)
    retired = await shop.product(category, "Silk Scarf")
    await shop.patch(f"/v1/admin/products/{shirt['id']}", name="Better Shirt")
    await shop.delete(f"/v1/admin/products/{retired['id']}")
    last = {event.product_id: event for event in await catalog.published(ProductChanged)}
    await catalog.clear_outbox()
    command = request()
    await catalog.deliver(command)
    snapshots = await catalog.published(ProductSnapshot)
    assert {each.product_id: each.model_dump() for each in snapshots} == {
        product_id: event.model_dump() for product_id, event in last.items()
    }
    assert {each.product_id: each.sequence for each in snapshots} == {
        product_id: event.sequence for product_id, event in last.items()
    }
    (end,) = await catalog.published(ProductSnapshotsCompleted)
    assert (end.request_id, end.sent) == (command.request_id, 2)
    ways = await catalog.sql("select distinct exchange, routing_key from outbox")
    assert [tuple(way) for way in ways] == [("snapshots", "svc.cart")]
    await shop.patch(f"/v1/admin/products/{shirt['id']}", name="Best Shirt")
    (event,) = await catalog.published(ProductChanged)
    assert event.sequence == last[event.product_id].sequence + 1


async def test_a_retired_product_outlives_its_category(shop: Any, catalog: Any) -> None:
    above = await shop.category("Clothes")
    below = await shop.category("Shirts", parent_id=above["id"])
    retired = await shop.product(below)
    await shop.delete(f"/v1/admin/products/{retired['id']}")
    (*_, last) = await catalog.published(ProductChanged)
    other = await shop.product(above, "Silk Scarf")
    for category in (below, await shop.category("Trousers")):
        answer = await shop.delete(f"/v1/admin/categories/{category['id']}")
        assert answer.status_code == 204
    await catalog.clear_outbox()
    await catalog.deliver(request())
    snapshots = {str(each.product_id): each for each in await catalog.published(ProductSnapshot)}
    assert snapshots.keys() == {retired["id"], other["id"]}
    assert snapshots[retired["id"]].model_dump() == last.model_dump()
    assert (last.status, last.category_path[0]) == ("deleted", UUID(above["id"]))
    (end,) = await catalog.published(ProductSnapshotsCompleted)
    assert end.sent == 2


async def test_a_product_retired_without_a_path_has_the_unknown_category(
    shop: Any, catalog: Any
) -> None:
    category = await shop.category()
    retired = await shop.product(category)
    await shop.delete(f"/v1/admin/products/{retired['id']}")
    await shop.delete(f"/v1/admin/categories/{category['id']}")
    await catalog.sql("update products set retired_path = null returning id")
    await catalog.clear_outbox()
    await catalog.deliver(request())
    (snapshot,) = await catalog.published(ProductSnapshot)
    assert (snapshot.category_id, snapshot.category_path) == (UUID(int=0), [UUID(int=0)])


async def test_many_snapshots_are_sent_in_pages(
    shop: Any, catalog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "PAGE", 2)
    category = await shop.category()
    made = {(await shop.product(category, f"Shirt {n}"))["id"] for n in range(5)}
    await catalog.clear_outbox()
    pending: list[Any] = [request()]
    snapshots: list[str] = []
    while pending:
        await catalog.deliver(*pending)
        snapshots += [str(each.product_id) for each in await catalog.published(ProductSnapshot)]
        pending = await catalog.published(RequestProductSnapshots)
        ends = await catalog.published(ProductSnapshotsCompleted)
        await catalog.clear_outbox()
    assert len(snapshots) == len(set(snapshots)) == 5
    assert set(snapshots) == made
    assert [end.sent for end in ends] == [5]


async def test_an_empty_catalogue_sends_only_the_completion(catalog: Any) -> None:
    await catalog.deliver(request())
    (end,) = await catalog.published()
    assert (type(end), end.sent) == (ProductSnapshotsCompleted, 0)
