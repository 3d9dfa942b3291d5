"""Carts of merged customers move; those of reclaimed accounts are deleted."""

from uuid import UUID

from chassis.ids import new_id
from contracts.identity import CustomerChanged
from testkit.harness import access_token

from .shop import Shop


def changed(before: UUID, after: UUID, by: UUID | None = None) -> CustomerChanged:
    return CustomerChanged(
        customer_id=before, status="inactive", merged_into=after, reclaimed_by=by
    )


async def carts(shop: Shop) -> list[tuple[UUID | None, str]]:
    rows = await shop.harness.sql("select customer_id, status from carts order by id")
    return [(row.customer_id, row.status) for row in rows]


async def test_the_carts_of_a_reclaimed_customer_are_deleted(shop: Shop) -> None:
    shirt = await shop.sells()
    before, after, stranger = new_id(), new_id(), new_id()
    await shop.customer_cart((shirt, 1), customer=stranger)
    own = await shop.customer_cart((shirt, 2), customer=before)
    guest = await shop.guest_cart((shirt, 1))
    headers = {"Authorization": f"Bearer {access_token(customer_id=before)}"}
    merged = await shop.client.post(
        "/v1/carts/merge", json={"cart_token": guest.headers["X-Cart-Token"]}, headers=headers
    )
    assert merged.json()["id"] == own.id
    # A cart that an order has locked goes as well: the order copied it.
    await shop.harness.sql(
        "insert into carts (id, customer_id, currency, status, order_id, locked) "
        "values (:id, :customer, 'USD', 'locked', :order, '{}')",
        id=new_id(),
        customer=before,
        order=new_id(),
    )

    event = changed(before, after, by=new_id())
    await shop.harness.deliver(event)
    await shop.harness.deliver(event)

    assert await carts(shop) == [(stranger, "active")]
    items = await shop.harness.sql("select quantity from cart_items")
    assert [item.quantity for item in items] == [1]


async def test_carts_move_with_a_merged_customer(shop: Shop) -> None:
    shirt = await shop.sells()
    before, after = new_id(), new_id()
    cart = await shop.customer_cart((shirt, 2), customer=before)
    await shop.harness.deliver(changed(before, after))

    headers = {"Authorization": f"Bearer {access_token(customer_id=after)}"}
    mine = (await shop.client.get("/v1/carts/current", headers=headers)).json()
    assert mine["id"] == cart.id


async def test_the_older_of_two_open_carts_is_merged(shop: Shop) -> None:
    shirt, hat = await shop.sells(), await shop.sells()
    before, after = new_id(), new_id()
    await shop.customer_cart((shirt, 2), customer=before)
    newer = await shop.customer_cart((hat, 1), customer=after)
    await shop.harness.deliver(changed(before, after))

    headers = {"Authorization": f"Bearer {access_token(customer_id=after)}"}
    mine = (await shop.client.get("/v1/carts/current", headers=headers)).json()
    assert mine["id"] == newer.id
    assert {item["quantity"] for item in mine["items"]} == {1, 2}
    assert await carts(shop) == [(after, "abandoned"), (after, "active")]
