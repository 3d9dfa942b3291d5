"""The gauge of oversold stock items."""

import pytest

from chassis.settings import ServiceSettings
from testkit.harness import Harness
from testkit.metrics_page import MetricsPage

from .shop import Shop, wants

OVERSOLD = "cartwright_stock_oversold_items"


async def oversold(shop: Shop) -> float:
    found = MetricsPage.of(await shop.inventory.client.get("/metrics"))
    assert OVERSOLD in found.names
    return found(OVERSOLD)


async def test_nothing_is_oversold_while_orders_hold_what_is_reserved(shop: Shop) -> None:
    mug = await shop.variant(5)
    await shop.inventory.deliver(wants((mug, 2)))
    assert await oversold(shop) == 0


@pytest.mark.parametrize(
    "defect",
    [
        "update stock_items set reserved = reserved + 1",
        "update allocations set quantity = quantity + 1",
    ],
)
async def test_an_oversold_item_is_counted(
    inventory: Harness[ServiceSettings], defect: str
) -> None:
    shop = await Shop.open(inventory)
    mug = await shop.variant(5)
    await inventory.deliver(wants((mug, 2)))
    await inventory.sql(defect)
    assert await oversold(shop) == 1
