"""Periodic work: old locks follow their orders, carts at rest are abandoned."""

from uuid import UUID

from cart.main import service
from chassis.ids import new_id

from .shop import READY, Cart, Shop


async def locked(shop: Shop, order: UUID, age: str = "1 hour") -> Cart:
    cart = await shop.guest_cart((await shop.sells(), 1))
    assert (await cart.lock(order, **READY)).status_code == 200
    await shop.harness.sql(
        f"update carts set lock_checked_at = now() - interval '{age}' where status = 'locked'"
    )
    return cart


async def run(shop: Shop, name: str) -> int | None:
    (sweep,) = [each for each in service.sweeps_of(shop.harness.running) if each.name == name]
    return await sweep.work(shop.harness.running.database)


async def check(shop: Shop) -> int | None:
    return await run(shop, "old locks")


async def test_an_old_lock_follows_its_order(shop: Shop) -> None:
    fates = {
        None: "active",
        "cancelled": "active",
        "pending": "locked",
        "confirmed": "converted",
        "delivered": "converted",
    }
    carts = {}
    for status in fates:
        order = new_id()
        carts[status] = await locked(shop, order)
        if status is not None:
            shop.peers.orders[str(order)] = status
    assert await check(shop) == len(fates)
    for status, cart in carts.items():
        assert (await cart.read())["status"] == fates[status], status
    assert await check(shop) == 0


async def test_a_recent_lock_is_left_alone(shop: Shop) -> None:
    cart = await locked(shop, new_id(), "1 minute")
    assert await check(shop) == 0
    assert (await cart.read())["status"] == "locked"


async def test_no_lock_is_settled_while_orders_is_unavailable(shop: Shop) -> None:
    cart = await locked(shop, new_id())
    shop.peers.unavailable = {"orders"}
    assert await check(shop) == 0
    assert (await cart.read())["status"] == "locked"


async def test_a_refusal_by_orders_leaves_the_other_locks_unaffected(shop: Shop) -> None:
    refused, over = new_id(), new_id()
    first, second = await locked(shop, refused, "2 hours"), await locked(shop, over)
    shop.peers.orders |= {str(refused): "forbidden", str(over): "cancelled"}
    await shop.harness.sql(
        "update carts set lock_checked_at = lock_checked_at - interval '1 h' where order_id = :id",
        id=refused,
    )
    assert await check(shop) == 1
    assert (await first.read())["status"] == "locked"
    assert (await second.read())["status"] == "active"


async def test_a_cart_at_rest_is_abandoned(shop: Shop) -> None:
    forgotten, customer = await shop.guest_cart(), new_id()
    own = await shop.customer_cart(customer=customer)
    await shop.harness.sql("update carts set last_activity_at = now() - interval '31 days'")
    fresh = await shop.guest_cart()
    assert await run(shop, "abandoned carts") == 2
    assert (await forgotten.read())["status"] == "abandoned"
    assert (await fresh.read())["status"] == "active"
    answer = await forgotten.request("PATCH", "", {"email": None})
    assert (answer.status_code, answer.json()["code"]) == (410, "cart_expired")
    assert (await forgotten.lock(**READY)).json()["code"] == "cart_expired"
    assert (await shop.customer_cart(customer=customer)).id != own.id
