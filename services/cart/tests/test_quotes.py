"""Shipping rates and coupons from peers, and carts while a peer is unavailable."""

import hashlib

from chassis.ids import new_id

from .shop import ADDRESS, METHOD, READY, Shop


async def test_shipping_methods_depend_on_the_address(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(price=1000), 2))
    answer = await cart.request("GET", "/shipping-methods")
    assert (answer.status_code, answer.json()["code"]) == (422, "address_missing")
    await cart.request("PATCH", "", {"shipping_address": ADDRESS})
    assert (await cart.request("GET", "/shipping-methods")).json() == {
        "methods": [
            {
                "id": str(METHOD),
                "name": "Standard",
                "provider": "Post",
                "price": {"amount": 500, "currency": "USD"},
                "estimated_days": 3,
            }
        ]
    }
    assert shop.peers.requests[-1] == (
        "/internal/rates",
        {
            "country": "US",
            "state": "IL",
            "postal_code": "62701",
            "currency": "USD",
            "subtotal_amount": 2000,
            "weight_grams": 0,
        },
    )


async def test_a_cart_is_shown_while_shipping_is_unavailable(shop: Shop) -> None:
    shop.peers.unavailable = {"shipping"}
    cart = await shop.guest_cart((await shop.sells(price=1000), 1))
    view = (await cart.request("PATCH", "", READY)).json()
    assert view["problems"] == ["pricing_unavailable"]
    assert view["shipping"] is None
    assert view["total"]["amount"] == 1000
    answer = await cart.request("GET", "/shipping-methods")
    assert (answer.status_code, answer.json()["code"]) == (503, "pricing_unavailable")


async def test_a_method_that_is_not_offered_is_a_problem_of_the_cart(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    view = (await cart.request("PATCH", "", {**READY, "shipping_method_id": str(new_id())})).json()
    assert view["problems"] == ["shipping_method_unavailable"]
    shop.peers.methods = []
    moved = {**ADDRESS, "country": "NZ"}
    view = (await cart.request("PATCH", "", {"shipping_address": moved})).json()
    assert view["problems"] == ["no_shipping_zone"]


async def test_a_coupon_is_evaluated_before_it_is_stored(shop: Shop) -> None:
    category, above = new_id(), new_id()
    shirt = await shop.sells(price=1000, category_id=category, category_path=[above, category])
    cart = await shop.guest_cart((shirt, 2), email="Ada@Example.com")
    view = (await cart.request("PUT", "/coupon", {"code": "SAVE"})).json()

    assert view["coupon"] == {
        "code": "SAVE",
        "discount": {"amount": 300, "currency": "USD"},
        "problem": None,
    }
    assert view["discount"]["amount"] == 300
    [(_, request)] = shop.peers.requests
    assert request["redeemer"] == f"guest:{hashlib.sha256(b'ada@example.com').hexdigest()}"
    assert request["lines"][0]["category_ids"] == [str(category), str(above)]
    assert request["lines"][0]["amount"] == 2000
    assert (await cart.read())["discount"]["amount"] == 300
    assert len(shop.peers.requests) == 1

    view = (await cart.request("DELETE", "/coupon")).json()
    assert view["coupon"] is None
    assert view["discount"]["amount"] == 0


async def test_a_coupon_is_refused_as_promotions_refuses_it(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    for refusal in (404, "coupon_unknown"), (409, "coupon_used_up"), (409, "currency_mismatch"):
        shop.peers.refusal = refusal
        answer = await cart.request("PUT", "/coupon", {"code": "SAVE"})
        assert (answer.status_code, answer.json()["code"]) == refusal
    assert (await cart.read())["coupon"] is None


async def test_an_error_between_services_is_not_shown_as_the_customers_fault(shop: Shop) -> None:
    shop.peers.refusal = (422, "invalid_request")
    cart = await shop.guest_cart((await shop.sells(), 1))
    answer = await cart.request("PUT", "/coupon", {"code": "SAVE"})
    assert (answer.status_code, answer.json()["code"]) == (503, "pricing_unavailable")


async def test_a_coupon_that_no_longer_applies_stays_with_its_problem(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(price=1000), 2))
    await cart.request("PUT", "/coupon", {"code": "SAVE"})
    shop.peers.refusal = (409, "coupon_minimum_not_reached")
    item = cart.body["items"][0]["id"]
    view = (await cart.request("PATCH", f"/items/{item}", {"quantity": 1})).json()
    assert view["coupon"]["problem"] == "coupon_minimum_not_reached"
    assert view["discount"]["amount"] == 0
    assert "coupon_minimum_not_reached" in view["problems"]
    again = await cart.read()
    assert again["coupon"] == view["coupon"]


async def test_a_coupon_on_an_empty_cart_is_refused(shop: Shop) -> None:
    cart = await shop.guest_cart()
    answer = await cart.request("PUT", "/coupon", {"code": "SAVE"})
    assert (answer.status_code, answer.json()["code"]) == (409, "cart_empty")
