"""The lock: an order gets a cart at its price, once."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import UUID

from cachetools import TTLCache

from chassis.ids import new_id
from testkit.harness import access_token, service_token

from .shop import ADDRESS, METHOD, READY, Cart, Shop


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_guest_checks_out_in_one_request(shop: Shop) -> None:
    shirt = await shop.sells(price=1000)
    cart = await shop.guest_cart((shirt, 2))
    order = new_id()
    answer = await cart.lock(order, **READY, expected_total={"amount": 2500, "currency": "USD"})

    assert answer.status_code == 200, answer.text
    snapshot = answer.json()
    line = snapshot.pop("lines")[0]
    assert snapshot == {
        "cart_id": cart.id,
        "customer_id": None,
        "email": "ada@example.com",
        "currency": "USD",
        "subtotal_amount": 2000,
        "discount_amount": 0,
        "shipping_amount": 500,
        "tax_amount": 0,
        "total_amount": 2500,
        "coupon": None,
        "redeemer": f"guest:{hashlib.sha256(b'ada@example.com').hexdigest()}",
        "shipping_method": {
            "id": str(METHOD),
            "name": "Standard",
            "provider": "Post",
            "estimated_days": 3,
        },
        "ship_to": {**ADDRESS, "line2": "", "phone": ""},
        "bill_to": {**ADDRESS, "line2": "", "phone": ""},
    }
    assert line["variant_id"] == str(shirt)
    assert line["unit_price_amount"] == 1000
    assert line["total_amount"] == 2000
    assert line["lead_time_days"] == 2
    assert UUID(line["line_id"]) != UUID(cart.body["items"][0]["id"])


async def test_the_same_order_gets_the_same_answer_after_a_price_change(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(price=1000), 2))
    order = new_id()
    first = await cart.lock(order, **READY)
    await shop.harness.sql("update variant_snapshots set price_amount = 9999")
    again = await cart.lock(order, expected_total={"amount": 1, "currency": "USD"})
    assert again.json() == first.json()
    assert (await cart.read())["total"]["amount"] == first.json()["total_amount"]
    assert (await cart.read())["items"][0]["unit_price"]["amount"] == 1000


async def test_the_stored_lock_is_the_answer_and_still_loads_with_other_fields(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    order = new_id()
    first = (await cart.lock(order, **READY)).json()
    [(stored,)] = await shop.harness.sql("select locked::text from carts")
    assert json.loads(stored) == first
    # Another release may have stored more than this one knows.
    await shop.harness.sql("""update carts set locked = locked || '{"more": 1}'""")
    assert (await cart.lock(order)).json() == first


async def test_a_locked_cart_can_not_be_changed(shop: Shop) -> None:
    shirt = await shop.sells()
    cart = await shop.guest_cart((shirt, 1))
    await cart.lock(**READY)
    for answer in (
        await cart.request("POST", "/items", {"variant_id": str(shirt), "quantity": 1}),
        await cart.request("PATCH", "", {"email": "eve@example.com"}),
        await cart.request("PUT", "/coupon", {"code": "X"}),
        await cart.request("DELETE", "/coupon"),
        await cart.lock(new_id()),
    ):
        assert refusal(answer) == (409, "cart_locked")


INCOMPLETE: list[tuple[dict[str, Any], int, str]] = [
    ({"email": None}, 422, "email_missing"),
    ({"shipping_address": None}, 422, "address_missing"),
    ({"shipping_method_id": None}, 422, "shipping_method_missing"),
    ({"shipping_method_id": str(UUID(int=8))}, 422, "shipping_method_unavailable"),
    ({"expected_total": {"amount": 1, "currency": "USD"}}, 409, "total_changed"),
    ({"expected_total": {"amount": 1500, "currency": "EUR"}}, 409, "currency_mismatch"),
    ({"order_id": "x"}, 422, "invalid_request"),
    ({"expected_total": {"amount": 10**40, "currency": "USD"}}, 422, "invalid_request"),
]


async def test_an_incomplete_purchase_locks_nothing(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(price=1000), 1))
    for change, status, code in INCOMPLETE:
        answer = await cart.lock(**{**READY, **change})
        assert refusal(answer) == (status, code), change
        if code == "total_changed":
            assert answer.json()["total"] == {"amount": 1500, "currency": "USD"}
    assert (await cart.read())["status"] == "active"
    assert (await cart.read())["email"] is None


async def test_no_zone_reaches_the_address(shop: Shop) -> None:
    shop.peers.methods = []
    cart = await shop.guest_cart((await shop.sells(), 1))
    assert refusal(await cart.lock(**READY)) == (422, "no_shipping_zone")


async def test_an_empty_cart_is_refused(shop: Shop) -> None:
    assert refusal(await (await shop.guest_cart()).lock(**READY)) == (409, "cart_empty")


async def test_unavailable_goods_block_the_lock(shop: Shop) -> None:
    shirt = await shop.sells(stock=5)
    cart = await shop.guest_cart((shirt, 5))
    await shop.harness.sql("update stock_snapshots set available = 4")
    answer = await cart.lock(**READY)
    assert refusal(answer) == (409, "insufficient_stock")
    assert answer.json()["variant_ids"] == [str(shirt)]
    await shop.harness.sql("update product_snapshots set status = 'deleted'")
    answer = await cart.lock(**READY)
    assert refusal(answer) == (409, "line_unavailable")
    assert answer.json()["variant_ids"] == [str(shirt)]


async def test_an_unavailable_peer_prevents_the_lock(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    shop.peers.unavailable = {"shipping"}
    assert refusal(await cart.lock(**READY)) == (503, "pricing_unavailable")
    shop.peers.unavailable = {"promotions"}
    answer = await cart.lock(**READY, coupon_code="SAVE")
    assert refusal(answer) == (503, "pricing_unavailable")
    assert (await cart.read())["status"] == "active"
    shop.peers.unavailable = set()
    assert (await cart.lock(**READY)).status_code == 200


async def test_equal_rate_requests_are_sent_once(shop: Shop) -> None:
    shirt = await shop.sells()
    for _ in range(3):
        assert (await (await shop.guest_cart((shirt, 1))).lock(**READY)).status_code == 200
    assert shop.peers.count("/internal/rates") == 1
    assert shop.peers.count("/evaluate") == 0
    assert (await (await shop.guest_cart((shirt, 2))).lock(**READY)).status_code == 200
    assert shop.peers.count("/internal/rates") == 2


async def test_an_expired_rate_is_requested_again(shop: Shop) -> None:
    shirt = await shop.sells()
    await (await shop.guest_cart((shirt, 1))).lock(**READY)
    shop.harness.running.resources.quotes._rates = TTLCache(1, ttl=0)
    await (await shop.guest_cart((shirt, 1))).lock(**READY)
    await (await shop.guest_cart((shirt, 1))).lock(**READY)
    assert shop.peers.count("/internal/rates") == 3


async def test_the_coupon_is_evaluated_at_every_lock(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(price=1000), 2))
    await cart.request("PATCH", "", READY)
    snapshot = (await cart.request("PUT", "/coupon", {"code": "save"})).json()
    assert snapshot["total"]["amount"] == 2200
    before = shop.peers.count("/evaluate")
    locked = (await cart.lock(expected_total={"amount": 2200, "currency": "USD"})).json()
    assert shop.peers.count("/evaluate") == before + 1
    assert locked["coupon"] == {
        "coupon_id": str(UUID(int=9)),
        "code": "save",
        "discount_amount": 300,
    }
    assert locked["lines"][0]["discount_amount"] == 300
    assert locked["lines"][0]["total_amount"] == 1700


async def test_a_coupon_that_has_ended_is_refused_at_the_lock(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 2))
    await cart.request("PUT", "/coupon", {"code": "save"})
    shop.peers.refusal = (409, "coupon_ended")
    assert refusal(await cart.lock(**READY)) == (409, "coupon_ended")


async def test_free_shipping_pays_for_the_shipping(shop: Shop) -> None:
    shop.peers.coupon = {"discount_amount": 0, "free_shipping": True}
    cart = await shop.guest_cart((await shop.sells(price=1000), 2))
    snapshot = (await cart.lock(**READY, coupon_code="FREE")).json()
    assert snapshot["total_amount"] == 2000
    assert snapshot["shipping_amount"] == 0
    assert snapshot["coupon"]["discount_amount"] == 500


async def test_a_customer_needs_no_email_and_counts_as_customer(shop: Shop) -> None:
    customer = new_id()
    cart = await shop.customer_cart((await shop.sells(), 1), customer=customer)
    snapshot = (await cart.lock(**{**READY, "email": None})).json()
    assert snapshot["customer_id"] == str(customer)
    assert snapshot["email"] == "ada@example.com"
    assert snapshot["redeemer"] == f"customer:{customer}"


async def test_twenty_lock_requests_of_one_order_lock_once(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    order = new_id()
    answers = await asyncio.gather(*(cart.lock(order, **READY) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["lines"][0]["line_id"] for answer in answers}) == 1
    assert (await cart.read())["version"] == 2


async def test_one_of_twenty_concurrent_orders_locks_the_cart(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    answers = await asyncio.gather(*(cart.lock(new_id(), **READY) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"cart_locked"}


async def test_a_cart_that_changes_during_the_lock_is_priced_as_locked(shop: Shop) -> None:
    shirt = await shop.sells(price=1000)
    cart = await shop.guest_cart((shirt, 1))
    more = cart.request("POST", "/items", {"variant_id": str(shirt), "quantity": 1})
    locked, added = await asyncio.gather(cart.lock(**READY), more)
    assert locked.status_code == 200
    pieces = locked.json()["lines"][0]["quantity"]
    assert pieces == (2 if added.status_code == 201 else 1)
    assert locked.json()["total_amount"] == 500 + 1000 * pieces


async def test_only_the_order_that_locked_a_cart_unlocks_it(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    order = new_id()
    await cart.lock(order, **READY)
    assert (await cart.unlock(new_id())).status_code == 204
    assert (await cart.read())["status"] == "locked"
    for _ in range(2):
        assert (await cart.unlock(order)).status_code == 204
        assert (await cart.read())["status"] == "active"
    assert (await cart.lock(new_id())).status_code == 200


async def test_only_orders_locks_and_only_for_the_owner(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    url, body = f"/internal/carts/{cart.id}/lock", {"order_id": str(new_id()), **READY}

    async def ask(service: str, headers: dict[str, str]) -> int:
        bearer = {"Authorization": f"Bearer {service_token(service)}"}
        return int((await shop.client.post(url, json=body, headers=bearer | headers)).status_code)

    assert await ask("payments", cart.headers) == 403
    assert await ask("orders", {}) == 401
    assert await ask("orders", {"X-Cart-Token": "guessed"}) == 404
    assert await ask("orders", {"X-Caller-Token": access_token()}) == 404
    stranger = Cart(shop, {"id": str(new_id())}, cart.headers)
    assert (await stranger.lock(**READY)).status_code == 404
    assert await ask("orders", cart.headers) == 200
