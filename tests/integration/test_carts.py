"""What becomes of carts while their orders live and die."""

from typing import Any

from invariants import InvariantChecker
from shopfloor import Buyer, Product, Staff, ok, until


async def put_in(buyer: Buyer, product: Product, pieces: int) -> Any:
    """Put pieces into the buyer's active cart."""
    await buyer.fill((product, pieces))
    return buyer.cart_id


async def current(buyer: Buyer) -> Any:
    """The customer's active cart, if there is one."""
    answer = await buyer.http.get("/v1/carts/current", headers=buyer.headers)
    return None if answer.status_code == 404 else ok(answer)


async def test_a_cart_given_back_is_merged_into_the_one_begun_meanwhile(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    tea, pot = await staff.sell(stock=5), await staff.sell(stock=5)
    await buyer.sign_up()
    ordered = await put_in(buyer, tea, 2)
    order = ok(await buyer.check_out(payment={"method": "card", "token": "tok_action"}))
    assert await current(buyer) is None
    begun = await put_in(buyer, pot, 1)
    assert begun != ordered

    await buyer.answers_provider(order["id"], "decline")
    await buyer.reaches(order["id"], "cancelled")

    async def both() -> Any:
        cart = await current(buyer)
        return cart if len(cart["items"]) == 2 else None

    merged = await until(both)
    assert merged["id"] == begun
    assert {item["sku"]: item["quantity"] for item in merged["items"]} == {tea.sku: 2, pot.sku: 1}
    buyer.cart_id = begun
    bought = ok(await buyer.check_out())
    assert (bought["status"], len(bought["lines"])) == ("confirmed", 2)

    async def sold() -> bool:
        cart = ok(await buyer.http.get(f"/v1/carts/{begun}", headers=buyer.headers))
        return bool(cart["status"] == "converted")

    await until(sold)
    again = await buyer.check_out()
    assert (again.status_code, again.json()["code"]) == (409, "cart_converted")


async def test_a_changed_total_is_refused_before_stock_is_held(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    await buyer.fill((product, 1))
    expected = {"amount": 2499, "currency": "USD"}
    refused = await buyer.check_out(expected_total=expected)
    assert (refused.status_code, refused.json()["code"]) == (409, "total_changed")
    assert refused.json()["total"] == {"amount": 2500, "currency": "USD"}
    cart = ok(await buyer.http.get(f"/v1/carts/{buyer.cart_id}", headers=buyer.headers))
    assert (cart["status"], cart["order_id"]) == ("active", None)
    assert await staff.level(product) == (1, 0)

    order = ok(await buyer.check_out(expected_total=refused.json()["total"]))
    assert order["status"] == "confirmed"


async def test_what_another_bought_is_refused_with_what_is_left(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=3)
    await buyer.fill((product, 2))
    await Buyer(buyer.http, staff).buys(product, 2)

    async def noticed() -> Any:
        cart = ok(await buyer.http.get(f"/v1/carts/{buyer.cart_id}", headers=buyer.headers))
        return cart["items"][0]["problem"]

    assert await until(noticed) == "insufficient_stock"
    refused = await buyer.check_out()
    assert (refused.status_code, refused.json()["code"]) == (409, "insufficient_stock")
    item = ok(await buyer.http.get(f"/v1/carts/{buyer.cart_id}", headers=buyer.headers))["items"][0]
    url = f"/v1/carts/{buyer.cart_id}/items/{item['id']}"
    ok(await buyer.http.patch(url, json={"quantity": 1}, headers=buyer.headers))
    assert ok(await buyer.check_out())["status"] == "confirmed"
