"""The lock: the cart's price becomes the order's."""

from chassis.ids import new_id

from .shop import ADDRESS, READY, Shop


async def test_a_guest_checks_out_in_one_request(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(price=1000), 2))
    order = new_id()
    answer = await cart.lock(order, **READY, expected_total={"amount": 2500, "currency": "USD"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["total_amount"] == 2500
    assert told["ship_to"]["line1"] == ADDRESS["line1"]
    again = await cart.lock(order)
    assert again.json() == told
    assert (await cart.read())["status"] == "locked"
    assert (await cart.unlock(order)).status_code == 204
    assert (await cart.read())["status"] == "active"
