"""Carts are pruned a while after they were bought or abandoned; those in use are retained."""

from typing import Any

from chassis.ids import new_id

from .shop import READY, Cart, Shop
from .test_merge import merge

RETAINED = 90


async def ids(shop: Shop) -> set[str]:
    return {str(row.id) for row in await shop.harness.sql("select id from carts")}


async def set_status(shop: Shop, cart: Cart, status: str) -> None:
    await shop.harness.sql("update carts set status = :s where id = :id", s=status, id=cart.id)


async def pruned(shop: Shop, days: float, **chosen: float) -> int:
    return (await shop.harness.prune(days, **chosen))["carts"]


async def test_a_cart_that_was_bought_or_abandoned_is_pruned_with_its_items(shop: Shop) -> None:
    shirt = await shop.sells()
    bought, abandoned = await shop.guest_cart((shirt, 1)), await shop.guest_cart((shirt, 2))
    assert (await bought.lock(**READY)).status_code == 200
    await set_status(shop, bought, "converted")
    await set_status(shop, abandoned, "abandoned")

    assert await pruned(shop, RETAINED - 0.01) == 0
    assert await pruned(shop, RETAINED + 0.01) == 2
    assert await ids(shop) == set()
    assert await shop.harness.sql("select 1 from cart_items") == []


async def test_an_open_or_locked_cart_is_retained(shop: Shop) -> None:
    shirt, customer = await shop.sells(), new_id()
    opened, locked = (
        await shop.customer_cart((shirt, 1), customer=customer),
        await shop.guest_cart((shirt, 1)),
    )
    assert (await locked.lock(**READY)).status_code == 200
    assert await pruned(shop, 3650) == 0
    assert await ids(shop) == {opened.id, locked.id}
    assert len((await opened.read())["items"]) == 1


async def test_a_recent_change_retains_an_old_cart(shop: Shop) -> None:
    cart = await shop.guest_cart()
    await set_status(shop, cart, "abandoned")
    await shop.harness.sql("update carts set updated_at = now() + interval '10 days'")
    assert await pruned(shop, RETAINED + 9) == 0
    assert await pruned(shop, RETAINED + 11) == 1


async def test_a_merged_cart_goes_before_the_cart_that_it_names(shop: Shop) -> None:
    shirt, customer = await shop.sells(), new_id()
    own = await shop.customer_cart((shirt, 1), customer=customer)
    guest = await shop.guest_cart((shirt, 1))
    answer: Any = await merge(shop, guest, customer)
    assert answer.json()["id"] == own.id
    await set_status(shop, own, "abandoned")

    assert await pruned(shop, RETAINED + 1) == 1
    assert await ids(shop) == {own.id}
    assert await pruned(shop, RETAINED + 1) == 1


async def test_the_setting_can_retain_carts_for_ever(shop: Shop) -> None:
    cart = await shop.guest_cart()
    await set_status(shop, cart, "abandoned")
    assert "carts" not in await shop.harness.prune(3650, carts=0)
    assert await ids(shop) == {cart.id}
