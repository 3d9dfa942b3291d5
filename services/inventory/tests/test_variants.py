"""The catalogue's variants, as inventory stores them."""

import pytest
from sqlalchemy.exc import DBAPIError

from chassis.ids import new_id
from contracts.catalog import (
    ProductChanged,
    ProductSnapshot,
    ProductSnapshotsCompleted,
    RequestProductSnapshots,
)
from inventory.jobs import sweeps
from inventory.main import service
from testkit.harness import model_differences

from .shop import Shop, product


async def known(shop: Shop) -> list[tuple[str, object]]:
    rows = await shop.inventory.sql("select sku, seller_id from stock_levels order by sku")
    return [tuple(row) for row in rows]


async def test_a_published_variant_is_stored_with_nothing_on_hand(shop: Shop) -> None:
    seller = new_id()
    await shop.inventory.deliver(product(2, seller_id=seller), product(0))
    assert await known(shop) == [("MUG-0", seller), ("MUG-1", seller)]
    assert await shop.inventory.published() == []


async def test_an_older_event_is_ignored_in_and_across_batches(shop: Shop) -> None:
    old = product(sequence=4)
    seller = new_id()
    new: ProductChanged = old.model_copy(update={"seller_id": seller}).with_sequence(5)
    await shop.inventory.deliver(new, old)
    await shop.inventory.deliver(old)
    assert await known(shop) == [("MUG-0", seller)]


async def test_a_changed_variant_retains_its_stock(shop: Shop) -> None:
    published = product(sequence=1)
    await shop.inventory.deliver(published)
    mug = published.variants[0].variant_id
    await shop.count(mug, shop.first, 5)
    await shop.inventory.deliver(
        published.model_copy(update={"seller_id": new_id()}).with_sequence(2)
    )
    assert await shop.pieces(mug) == [(5, 0)]


async def test_an_emptied_copy_requests_snapshots_and_is_restored(shop: Shop) -> None:
    bootstrap = next(each for each in sweeps if "variants" in each.name)
    catalogue = [product(2, seller_id=new_id(), sequence=3), product(sequence=1)]
    await shop.inventory.deliver(*catalogue)
    copy = "select variant_id, product_id, sku, seller_id, product_sequence from stock_levels"
    before = sorted(map(tuple, await shop.inventory.sql(copy)))
    await bootstrap.work(shop.inventory.running.database)
    assert await shop.inventory.published() == []

    await shop.inventory.sql("delete from stock_levels")
    await bootstrap.work(shop.inventory.running.database)
    (request,) = await shop.inventory.published(RequestProductSnapshots)
    assert request.reply_to == "svc.inventory"
    for event in catalogue:
        snapshot = ProductSnapshot(**event.model_dump())
        await shop.inventory.deliver(snapshot.addressed_to(request.reply_to, event.sequence or 0))
    end = ProductSnapshotsCompleted(request_id=request.request_id, sent=2)
    await shop.inventory.deliver(end.addressed_to(request.reply_to, 1))
    assert sorted(map(tuple, await shop.inventory.sql(copy))) == before
    assert len(before) == 3


async def test_movements_cannot_be_rewritten(shop: Shop) -> None:
    await shop.variant(3)
    for statement in ("update stock_movements set new = new", "delete from stock_movements"):
        with pytest.raises(DBAPIError, match="never changed"):
            await shop.inventory.sql(statement)


async def test_no_row_can_reserve_more_than_is_on_hand(shop: Shop) -> None:
    await shop.variant(3)
    for table in ("stock_items", "stock_levels"):
        with pytest.raises(DBAPIError, match="reserved_within_on_hand"):
            await shop.inventory.sql(f"update {table} set reserved = 4")


def test_the_models_are_what_the_migrations_make(template: str) -> None:
    assert model_differences(service, template) == []
