"""A warehouse that opens or closes publishes its stock in batches, the first one at once."""

from typing import Any

import pytest

from contracts.inventory import StockChanged
from inventory import service
from inventory.jobs import continue_recounts

from .shop import Shop, wants


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RECOUNT_BATCH", 2)


async def change_warehouse(shop: Shop, *, version: int, is_active: bool) -> Any:
    answer = await shop.inventory.client.put(
        f"/v1/admin/warehouses/{shop.second}",
        json={"code": "W2", "name": "Second", "priority": 1, "is_active": is_active},
        headers={**shop.staff(), "If-Match": f'"{version}"'},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_sweep_publishes_the_stock_that_the_request_left(inventory: Any) -> None:
    shop = await Shop.open(inventory)
    variants = [await shop.variant(None, 5) for _ in range(5)]
    database = inventory.running.database
    closed = await change_warehouse(shop, version=1, is_active=False)
    assert closed["recount"] == {"done": 2, "total": 5}
    url = "/v1/admin/warehouses"
    listed = (await inventory.client.get(url, headers=shop.staff())).json()["items"]
    assert [each["recount"] for each in listed] == [None, closed["recount"]]

    # Orders cannot reserve its stock, whether its events were published or not.
    await inventory.deliver(wants((max(variants), 1)))
    assert [await continue_recounts(database) for _ in range(3)] == [2, 1, 0]
    one = await inventory.client.get(f"{url}/{shop.second}", headers=shop.staff())
    assert one.json()["recount"] is None
    events = [event for event in await inventory.published() if isinstance(event, StockChanged)]
    assert {event.variant_id for event in events} == set(variants)
    assert len(events) == 5
    assert {(event.available, event.availability) for event in events} == {(0, "out_of_stock")}


async def test_a_warehouse_reopened_during_its_recount_ends_as_open(inventory: Any) -> None:
    shop = await Shop.open(inventory)
    variants = [await shop.variant(None, 5) for _ in range(5)]
    await change_warehouse(shop, version=1, is_active=False)
    assert await continue_recounts(inventory.running.database) == 2
    assert (await change_warehouse(shop, version=2, is_active=True))["recount"] == {
        "done": 2,
        "total": 5,
    }
    while await continue_recounts(inventory.running.database):
        pass
    rows = await inventory.sql("select variant_id, on_hand from stock_levels")
    assert {row.variant_id: row.on_hand for row in rows} == dict.fromkeys(variants, 5)
