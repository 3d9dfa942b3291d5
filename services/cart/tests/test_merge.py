"""Merging carts: a guest's at login, a cancelled order's into a newer one."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from cart.store import carts as store
from chassis.ids import new_id, utcnow
from contracts.orders import OrderCancelled
from testkit.harness import access_token

from .shop import READY, Cart, Shop


async def merge(shop: Shop, guest: Cart, customer: UUID, **body: Any) -> Any:
    return await shop.client.post(
        "/v1/carts/merge",
        json=body or {"cart_token": guest.headers["X-Cart-Token"]},
        headers={"Authorization": f"Bearer {access_token(customer_id=customer)}"},
    )


def cancelled(cart: Cart, order_id: UUID) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id,
        order_number="2026-000001",
        cart_id=UUID(cart.id),
        reason="payment_failed",
        cancelled_at=utcnow() + timedelta(seconds=1),
    )


async def test_a_guest_cart_is_merged_at_login(shop: Shop) -> None:
    shirt, hat = await shop.sells(stock=500), await shop.sells()
    customer = new_id()
    guest = await shop.guest_cart((shirt, 60), (hat, 1))
    await guest.request("PUT", "/coupon", {"code": "SAVE"})
    own = await shop.customer_cart((shirt, 60), customer=customer)

    answer = await merge(shop, guest, customer)
    assert answer.status_code == 200, answer.text
    view = answer.json()
    assert view["id"] == own.id
    assert {item["variant_id"]: item["quantity"] for item in view["items"]} == {
        str(shirt): 99,
        str(hat): 1,
    }
    assert view["coupon"]["code"] == "SAVE"
    assert (await merge(shop, guest, customer)).json()["items"] == view["items"]
    gone = await guest.request("PATCH", "", {"email": "ada@example.com"})
    assert (gone.status_code, gone.json()["code"]) == (410, "cart_expired")


async def test_a_customer_without_a_cart_gets_one_by_merging(shop: Shop) -> None:
    customer = new_id()
    guest = await shop.guest_cart((await shop.sells(), 2))
    await guest.request("PATCH", "", READY)
    view = (await merge(shop, guest, customer)).json()
    assert view["items"][0]["quantity"] == 2
    assert view["shipping_method_id"] == READY["shipping_method_id"]
    headers = {"Authorization": f"Bearer {access_token(customer_id=customer)}"}
    assert (await shop.client.get("/v1/carts/current", headers=headers)).json()["id"] == view["id"]


async def test_merged_lines_show_their_price_change(shop: Shop) -> None:
    guest = await shop.guest_cart((await shop.sells(price=1000), 1))
    await shop.harness.sql("update variant_snapshots set price_amount = 900")
    [line] = (await merge(shop, guest, new_id())).json()["items"]
    assert line["unit_price"]["amount"] == 900
    assert line["price_change"]["previous"]["amount"] == 1000


async def test_ten_concurrent_merges_merge_once(shop: Shop) -> None:
    customer = new_id()
    guest = await shop.guest_cart((await shop.sells(), 2))
    answers = await asyncio.gather(*(merge(shop, guest, customer) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["items"][0]["quantity"] for answer in answers} == {2}


async def test_only_the_holder_of_the_token_merges(shop: Shop) -> None:
    guest = await shop.guest_cart((await shop.sells(), 2))
    token = guest.headers["X-Cart-Token"]
    assert (await merge(shop, guest, new_id(), cart_token="guessed")).status_code == 404
    assert (await merge(shop, guest, new_id(), cart_id=guest.id)).status_code == 400
    foreign = await merge(shop, guest, new_id(), cart_id=str(new_id()), cart_token=token)
    assert foreign.status_code == 404
    answer = await shop.client.post("/v1/carts/merge", json={}, headers=guest.headers)
    assert answer.status_code == 401
    headers = {"Authorization": f"Bearer {access_token()}", **guest.headers}
    body = {"cart_id": guest.id}
    answer = await shop.client.post("/v1/carts/merge", json=body, headers=headers)
    assert answer.status_code == 200
    assert (await merge(shop, guest, new_id())).status_code == 410


async def test_a_locked_cart_is_not_merged(shop: Shop) -> None:
    guest = await shop.guest_cart((await shop.sells(), 2))
    await guest.lock(**READY)
    answer = await merge(shop, guest, new_id())
    assert (answer.status_code, answer.json()["code"]) == (409, "cart_locked")


async def test_currencies_are_never_mixed(shop: Shop) -> None:
    customer = new_id()
    await shop.customer_cart(customer=customer)
    guest = await shop.guest_cart(currency="EUR")
    answer = await merge(shop, guest, customer)
    assert (answer.status_code, answer.json()["code"]) == (409, "currency_mismatch")


async def test_a_cancelled_order_unlocks_its_cart(shop: Shop) -> None:
    customer, order = new_id(), new_id()
    cart = await shop.customer_cart((await shop.sells(), 2), customer=customer)
    await cart.lock(order, **READY)
    for _ in range(2):
        await shop.harness.deliver(cancelled(cart, order))
    view = await cart.read()
    assert view["status"] == "active"
    assert view["items"][0]["quantity"] == 2
    assert (await cart.lock(new_id())).status_code == 200


async def test_a_cancelled_orders_cart_is_merged_into_a_newer_one(shop: Shop) -> None:
    shirt, hat = await shop.sells(), await shop.sells()
    customer, order = new_id(), new_id()
    old = await shop.customer_cart((shirt, 2), customer=customer)
    await old.lock(order, **READY)
    new = await shop.customer_cart((shirt, 1), (hat, 1), customer=customer)
    assert new.id != old.id
    await shop.harness.deliver(cancelled(old, order))

    view = await new.read()
    assert {item["variant_id"]: item["quantity"] for item in view["items"]} == {
        str(shirt): 3,
        str(hat): 1,
    }
    assert view["shipping_address"]["city"] == "Springfield"
    assert (await old.read())["status"] == "abandoned"


async def test_two_cancelled_carts_of_one_customer_become_one(shop: Shop) -> None:
    shirt, customer = await shop.sells(), new_id()
    carts, orders = [], [new_id(), new_id()]
    for order in orders:
        carts.append(await shop.customer_cart((shirt, 1), customer=customer))
        await carts[-1].lock(order, **READY)
    await shop.harness.deliver(*map(cancelled, carts, orders))
    assert (await carts[1].read())["items"][0]["quantity"] == 2
    assert (await carts[0].read())["status"] == "abandoned"


async def test_an_earlier_orders_cancellation_leaves_a_later_lock(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 2))
    first, second = new_id(), new_id()
    await cart.lock(first, **READY)
    await cart.unlock(first)
    await cart.lock(second)
    await shop.harness.deliver(cancelled(cart, first))
    assert (await cart.read())["status"] == "locked"


async def test_an_unlocked_cart_is_merged_into_one_created_concurrently(shop: Shop) -> None:
    customer, order, new = new_id(), new_id(), new_id()
    old = await shop.customer_cart((await shop.sells(), 2), customer=customer)
    await old.lock(order, **READY)
    async with shop.harness.transaction() as tx:
        await store.lock_or_create_current(tx, new, customer, "USD")
        unlocking = asyncio.create_task(old.unlock(order))
        async with asyncio.timeout(10):
            while not await shop.harness.sql(  # noqa: ASYNC110  (the condition is in the database)
                "select 1 from pg_stat_activity where datname = current_database() "
                "and wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
    assert (await unlocking).status_code == 204
    assert (await old.read())["status"] == "abandoned"
    current = await shop.client.get("/v1/carts/current", headers=old.headers)
    assert current.json()["id"] == str(new)
    assert current.json()["items"][0]["quantity"] == 2
