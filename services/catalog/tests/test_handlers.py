"""What inventory's events change in the listings that customers see."""

from typing import Any
from uuid import UUID

from chassis.ids import new_id
from contracts.catalog import ProductChanged
from contracts.inventory import StockChanged


def stock(
    product: dict[str, Any], variant: int, availability_now: Any, number: int = 0
) -> StockChanged:
    chosen = product["variants"][variant]
    event = StockChanged(
        variant_id=UUID(chosen["id"]),
        product_id=UUID(product["id"]),
        sku=chosen["sku"],
        available=0,
        on_hand=0,
        reserved=0,
        availability=availability_now,
    )
    return event.with_sequence(number) if number else event


async def a_product(shop: Any) -> Any:
    return await shop.product(
        await shop.category(),
        variants=[
            {"sku": "S", "options": [{"name": "size", "value": "S"}]},
            {"sku": "M", "options": [{"name": "size", "value": "M"}]},
        ],
    )


async def availability(shop: Any, product: Any) -> tuple[str, list[str]]:
    page = (await shop.client.get(f"/v1/products/{product['id']}")).json()
    return page["availability"], [variant["availability"] for variant in page["variants"]]


async def test_a_product_is_as_available_as_its_best_variant(shop: Any, catalog: Any) -> None:
    product = await a_product(shop)
    await catalog.clear_outbox()
    await catalog.deliver(stock(product, 0, "out_of_stock"), stock(product, 1, "low_stock"))
    assert await availability(shop, product) == ("low_stock", ["out_of_stock", "low_stock"])
    await catalog.deliver(stock(product, 0, "in_stock"))
    assert await availability(shop, product) == ("in_stock", ["in_stock", "low_stock"])
    found = await shop.client.get("/v1/products", params={"availability": "in_stock"})
    assert len(found.json()["items"]) == 1
    assert await catalog.published(ProductChanged) == []


async def test_an_older_event_never_replaces_a_newer_one(shop: Any, catalog: Any) -> None:
    product = await a_product(shop)
    await catalog.deliver(stock(product, 0, "in_stock", 5))
    await catalog.deliver(
        stock(product, 0, "out_of_stock", 4), stock(product, 0, "out_of_stock", 5)
    )
    assert (await availability(shop, product))[0] == "in_stock"
    await catalog.deliver(stock(product, 0, "low_stock", 7), stock(product, 0, "out_of_stock", 6))
    assert (await availability(shop, product))[0] == "low_stock"


async def test_the_same_message_twice_has_one_effect(shop: Any, catalog: Any) -> None:
    product = await a_product(shop)
    message_id = new_id()
    for _ in range(2):
        await catalog.deliver(stock(product, 0, "in_stock", 1), message_id=message_id)
    assert (await availability(shop, product))[0] == "in_stock"


async def test_an_unavailable_variant_does_not_make_its_product_available(
    shop: Any, catalog: Any, staff: Any
) -> None:
    product = await a_product(shop)
    await catalog.deliver(stock(product, 0, "in_stock"))
    url = f"/v1/admin/products/{product['id']}/variants/{product['variants'][0]['id']}"
    assert (await shop.patch(url, version=1, is_available=False)).status_code == 200
    assert await availability(shop, product) == ("out_of_stock", ["in_stock", "out_of_stock"])


async def test_stock_of_an_unknown_or_retired_product_lists_nothing(
    shop: Any, catalog: Any
) -> None:
    product = await a_product(shop)
    assert (await shop.delete(f"/v1/admin/products/{product['id']}")).status_code == 204
    unknown = {"id": str(new_id()), "variants": [{"id": str(new_id()), "sku": "X"}]}
    await catalog.deliver(stock(product, 0, "in_stock"), stock(unknown, 0, "in_stock"))
    assert await catalog.sql("select 1 from listings") == []
