"""A changed category has the listings below it rebuilt in batches, the first one at once."""

from typing import Any

import pytest

from catalog import service
from catalog.jobs import continue_relistings
from contracts.catalog import ProductChanged

BATCH = 2


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LISTING_BATCH", BATCH)


async def category_with_products(shop: Any, count: int) -> dict[str, Any]:
    category: dict[str, Any] = await shop.category("Shirts")
    for number in range(count):
        await shop.product(category, f"Shirt {number}")
    return category


async def paths(shop: Any) -> list[str]:
    """The name of the category that each product's page shows."""
    found = (await shop.client.get("/v1/products?limit=100")).json()["items"]
    pages = [(await shop.client.get(f"/v1/products/{each['id']}")).json() for each in found]
    return sorted(page["category_path"][-1]["name"] for page in pages)


async def test_a_sweep_rebuilds_the_listings_that_the_request_left(shop: Any, catalog: Any) -> None:
    category = await category_with_products(shop, 5)
    url = f"/v1/admin/categories/{category['id']}"
    database = catalog.running.database
    assert (await shop.patch(url, description="All kinds")).json()["relisting"] is None
    changed = (await shop.patch(url, name="Blouses")).json()
    assert changed["relisting"] == {"done": BATCH, "total": 5}
    assert await paths(shop) == ["Blouses"] * 2 + ["Shirts"] * 3
    (listed,) = (await shop.client.get("/v1/admin/categories", headers=shop.staff)).json()["items"]
    assert listed["relisting"] == changed["relisting"]

    assert [await continue_relistings(database) for _ in range(3)] == [2, 1, 0]
    assert await paths(shop) == ["Blouses"] * 5
    assert (await shop.client.get(url, headers=shop.staff)).json()["relisting"] is None


async def test_a_moved_category_publishes_each_product_once(shop: Any, catalog: Any) -> None:
    category = await category_with_products(shop, 5)
    top = await shop.category("Top")
    await catalog.clear_outbox()
    url = f"/v1/admin/categories/{category['id']}"
    assert (await shop.patch(url, parent_id=top["id"])).status_code == 200
    while await continue_relistings(catalog.running.database):
        pass
    events = await catalog.published(ProductChanged)
    assert len({each.product_id for each in events}) == len(events) == 5
    assert {str(each.category_path[0]) for each in events} == {top["id"]}


async def test_a_second_change_starts_the_relisting_again(shop: Any, catalog: Any) -> None:
    category = await category_with_products(shop, 5)
    top = await shop.category("Top")
    url = f"/v1/admin/categories/{category['id']}"
    await shop.patch(url, parent_id=top["id"])
    await continue_relistings(catalog.running.database)
    again = (await shop.patch(url, name="Blouses")).json()
    assert again["relisting"] == {"done": BATCH, "total": 5}
    while await continue_relistings(catalog.running.database):
        pass
    assert await paths(shop) == ["Blouses"] * 5
    # The move is still announced for the products that the first run did not reach.
    assert len({each.product_id for each in await catalog.published(ProductChanged)}) == 5


async def test_a_deleted_category_takes_its_relisting_along(shop: Any, catalog: Any) -> None:
    category = await category_with_products(shop, 3)
    url = f"/v1/admin/categories/{category['id']}"
    await shop.patch(url, name="Blouses")
    found = (await shop.client.get("/v1/products")).json()["items"]
    for product in found:
        await shop.delete(f"/v1/admin/products/{product['id']}")
    assert (await shop.delete(url)).status_code == 204
    assert await continue_relistings(catalog.running.database) == 0
    assert await catalog.sql("select category_id from relistings") == []
