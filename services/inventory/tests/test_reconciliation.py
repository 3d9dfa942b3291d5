"""Orders' reconciliation reads the holds, and an operator releases a stray one."""

from typing import Any

from chassis.ids import new_id
from contracts.inventory import StockChanged, StockReleased

from .shop import Shop, wants

URL = "/v1/admin/ops/inventory/reconciliation"
WHY = {"reason": "no order holds it"}


async def release(shop: Shop, order_id: Any, *permissions: str) -> Any:
    headers = shop.inventory.signed_in(permissions=permissions or ("ops:read", "ops:write"))
    return await shop.inventory.client.post(f"{URL}/{order_id}/release", json=WHY, headers=headers)


async def held(shop: Shop) -> dict[str, int]:
    headers = shop.inventory.signed_in(permissions=("ops:read",))
    found = (await shop.inventory.client.get(URL, headers=headers)).json()["items"]
    return {row["order_id"]: row["pieces"] for row in found}


async def test_a_released_stray_hold_is_on_sale_again_and_orders_gets_no_message(
    shop: Shop,
) -> None:
    mug = await shop.variant(5)
    stray, sound = wants((mug, 2)), wants((mug, 1))
    await shop.inventory.deliver(stray, sound)
    await shop.inventory.clear_outbox()
    assert await held(shop) == {str(stray.order_id): 2, str(sound.order_id): 1}

    answer = await release(shop, stray.order_id)
    (entry,) = await shop.inventory.sql("select * from audit_entries where action = 'hold.release'")

    assert (answer.json()["state"], answer.json()["pieces"]) == ("released", 0)
    assert await shop.pieces(mug) == [(5, 1)]
    assert await held(shop) == {str(sound.order_id): 1}
    assert await shop.inventory.published(StockReleased) == []
    assert await shop.inventory.published(StockChanged) != []
    assert (entry.action, entry.before["pieces"], entry.reason) == (
        "hold.release", 2, WHY["reason"]
    )  # fmt: skip


async def test_an_order_without_a_hold_cannot_be_released(shop: Shop) -> None:
    order = wants((await shop.variant(5), 2))
    await shop.inventory.deliver(order)
    assert (await release(shop, new_id())).status_code == 404
    assert (await release(shop, order.order_id, "ops:read")).status_code == 403
    assert (await release(shop, order.order_id)).status_code == 200
    again = await release(shop, order.order_id)
    assert (again.status_code, again.json()["code"]) == (409, "nothing_held")
