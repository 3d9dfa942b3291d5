"""Carts over HTTP: access, contents, refusals."""

import asyncio
from typing import Any

from cart.main import service
from chassis.ids import new_id
from contracts.catalog import CustomizationField
from testkit.harness import access_token, model_differences

from .shop import ADDRESS, METHOD, READY, Shop


def test_the_models_match_the_migrations(template: str) -> None:
    assert model_differences(service, template) == []


async def test_a_guest_fills_a_cart(shop: Shop) -> None:
    shirt, hat = await shop.sells(price=1000), await shop.sells(price=250)
    cart = await shop.guest_cart((shirt, 2), email="ada@example.com")
    answer = await cart.request("POST", "/items", {"variant_id": str(hat), "quantity": 4})

    assert answer.status_code == 201, answer.text
    assert answer.headers["ETag"] == '"2"'
    view = await cart.read()
    assert view == answer.json()
    assert view["subtotal"] == {"amount": 3000, "currency": "USD"}
    assert [item["quantity"] for item in view["items"]] == [2, 4]
    assert view["items"][0]["unit_price"] == {"amount": 1000, "currency": "USD"}
    assert not view["is_final"]
    assert view["problems"] == ["address_missing"]
    assert "cart_token" not in view


async def test_the_token_is_stored_only_as_a_hash(shop: Shop) -> None:
    cart = await shop.guest_cart()
    [(row,)] = await shop.harness.sql("select carts::text from carts")
    assert cart.headers["X-Cart-Token"] not in row


async def test_lines_are_changed_and_removed(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 2))
    item = cart.body["items"][0]["id"]
    assert (await cart.request("PATCH", f"/items/{item}", {"quantity": 5})).json()["subtotal"][
        "amount"
    ] == 5000
    assert (await cart.request("DELETE", f"/items/{item}")).json()["items"] == []
    assert (await cart.request("DELETE", f"/items/{item}")).status_code == 404


async def test_a_changed_price_is_shown_until_the_customer_accepts_it(shop: Shop) -> None:
    shirt = await shop.sells(price=1000)
    cart = await shop.guest_cart((shirt, 2))
    await shop.harness.sql("update variant_snapshots set price_amount = 1200")

    [line] = (await cart.read())["items"]
    assert line["unit_price"]["amount"] == 1200
    assert line["price_change"] == {"previous": {"amount": 1000, "currency": "USD"}}
    await cart.request("PATCH", f"/items/{line['id']}", {"quantity": 2})
    assert (await cart.read())["items"][0]["price_change"] is None


async def test_a_line_no_longer_for_sale_stays_and_blocks_checkout(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 2))
    await shop.harness.sql("update product_snapshots set status = 'inactive'")
    view = await cart.read()
    assert view["items"][0]["problem"] == "unavailable"
    assert view["problems"] == ["line_unavailable"]


async def test_a_signed_in_customer_has_one_active_cart(shop: Shop) -> None:
    shirt, customer = await shop.sells(), new_id()
    first = await shop.customer_cart((shirt, 1), customer=customer)
    again = await shop.customer_cart((shirt, 2), customer=customer)
    assert again.id == first.id
    assert again.body["items"][0]["quantity"] == 3
    current = await shop.client.get("/v1/carts/current", headers=first.headers)
    assert current.json()["id"] == first.id
    assert first.body["cart_token"] is None


async def test_twenty_concurrent_creations_make_one_cart(shop: Shop) -> None:
    headers = {"Authorization": f"Bearer {access_token()}"}
    answers = await asyncio.gather(
        *(shop.client.post("/v1/carts", json={}, headers=headers) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {200, 201}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_many_additions_at_once_are_all_counted(shop: Shop) -> None:
    shirt = await shop.sells()
    cart = await shop.guest_cart()
    body = {"variant_id": str(shirt), "quantity": 1}
    answers = await asyncio.gather(*(cart.request("POST", "/items", body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert (await cart.read())["items"][0]["quantity"] == 20


async def test_a_cart_is_hidden_from_other_callers(shop: Shop) -> None:
    mine = await shop.guest_cart((await shop.sells(), 1))
    other = await shop.guest_cart()
    for headers, status in (
        (other.headers, 404),
        ({"Authorization": f"Bearer {access_token()}"}, 404),
        ({"X-Cart-Token": ""}, 404),
        ({}, 401),
    ):
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"email": "eve@example.com"}),
            ("PUT", "/coupon", {"code": "X"}),
            ("DELETE", "/coupon", None),
            ("GET", "/shipping-methods", None),
            ("POST", "/items", {"variant_id": str(new_id()), "quantity": 1}),
            ("DELETE", f"/items/{mine.body['items'][0]['id']}", None),
        ):
            answer = await shop.client.request(
                method, f"/v1/carts/{mine.id}{path}", json=body, headers=headers
            )
            assert answer.status_code == status, (method, path, answer.text)
    answer = await shop.client.get("/v1/carts/current", headers=mine.headers)
    assert answer.status_code == 401


async def test_an_item_is_reached_only_through_its_own_cart(shop: Shop) -> None:
    mine = await shop.guest_cart((await shop.sells(), 1))
    other = await shop.guest_cart()
    answer = await other.request("DELETE", f"/items/{mine.body['items'][0]['id']}")
    assert answer.status_code == 404
    assert len((await mine.read())["items"]) == 1


async def test_address_method_and_email_are_set_and_emptied(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(price=1000), 1))
    view = (await cart.request("PATCH", "", {**READY, "billing_address": ADDRESS})).json()
    assert view["total"] == {"amount": 1500, "currency": "USD"}
    assert view["shipping"] == {"amount": 500, "currency": "USD"}
    assert view["is_final"], view["problems"]
    assert view["shipping_address"]["line2"] == ""
    view = (await cart.request("PATCH", "", {"shipping_method_id": None, "email": None})).json()
    assert view["shipping"] is None
    assert view["problems"] == ["email_missing"]
    assert (await cart.read())["shipping_address"]["city"] == "Springfield"
    view = (await cart.request("PATCH", "", {"shipping_address": None})).json()
    assert view["shipping_address"] is None
    assert view["tax"] is None


async def test_a_stale_version_is_refused_when_one_is_named(shop: Shop) -> None:
    cart = await shop.guest_cart()
    change = {"email": "ada@example.com"}
    assert (await cart.request("PATCH", "", change, **{"If-Match": '"1"'})).status_code == 200
    assert (await cart.request("PATCH", "", change, **{"If-Match": '"1"'})).status_code == 412
    assert (await cart.request("PATCH", "", change, **{"If-Match": "x"})).status_code == 400
    assert (await cart.request("PATCH", "", change)).status_code == 200


async def test_a_missing_required_customization_is_refused(shop: Shop) -> None:
    ring = await shop.sells(
        customization_fields=[
            CustomizationField(name="engraving", type="text", required=True, max_length=10)
        ]
    )
    cart = await shop.guest_cart()
    wanted = {"variant_id": str(ring), "quantity": 1}
    refused = await cart.request("POST", "/items", wanted)
    assert (refused.status_code, refused.json()["code"]) == (422, "customization_invalid")
    added = await cart.request("POST", "/items", {**wanted, "customization": {"engraving": "Ada"}})
    assert added.json()["items"][0]["customization"] == {"engraving": "Ada"}


BAD_ITEMS: list[tuple[dict[str, Any], int, str]] = [
    ({"quantity": 1}, 404, "variant_unknown"),
    ({"quantity": 0}, 422, "invalid_request"),
    ({"quantity": -1}, 422, "invalid_request"),
    ({"quantity": 100}, 422, "invalid_request"),
    ({"quantity": 10**30}, 422, "invalid_request"),
    ({"quantity": 1.5}, 422, "invalid_request"),
    ({"quantity": "1"}, 422, "invalid_request"),
    ({"quantity": 1, "price": 1}, 422, "invalid_request"),
    ({"quantity": 1, "variant_id": "x"}, 422, "invalid_request"),
    ({"quantity": 1, "customization": {"a\x00": "b"}}, 422, "invalid_request"),
    ({"quantity": 1, "customization": {"a": "b" * 1001}}, 422, "invalid_request"),
    (
        {"quantity": 1, "customization": {str(i): "b" for i in range(21)}},
        422,
        "invalid_request",
    ),
]


async def test_a_bad_item_is_refused(shop: Shop) -> None:
    cart = await shop.guest_cart()
    for body, status, code in BAD_ITEMS:
        answer = await cart.request("POST", "/items", {"variant_id": str(new_id()), **body})
        assert (answer.status_code, answer.json()["code"]) == (status, code), body


BAD_CARTS = [
    {"currency": "usd"},
    {"currency": 1},
    {"email": "ada"},
    {"email": "a@b.c" + "d" * 300},
    {"email": "a\x00@example.com"},
    {"items": [{"variant_id": str(METHOD), "quantity": 1}] * 101},
    {"customer_id": str(METHOD)},
]


async def test_a_bad_cart_is_refused(shop: Shop) -> None:
    for body in BAD_CARTS:
        answer = await shop.client.post("/v1/carts", json=body)
        assert answer.status_code == 422, body
    assert await shop.harness.sql("select 1 from carts") == []


BAD_ADDRESSES = [
    {"country": "us"},
    {"country": "USA"},
    {"city": ""},
    {"line1": "x" * 201},
    {"phone": "call me"},
    {"recipient_name": "a\x1bb"},
    {"planet": "Earth"},
]


async def test_a_bad_address_is_refused(shop: Shop) -> None:
    cart = await shop.guest_cart()
    for change in BAD_ADDRESSES:
        answer = await cart.request("PATCH", "", {"shipping_address": {**ADDRESS, **change}})
        assert answer.status_code == 422, change


async def test_everything_is_in_one_currency(shop: Shop) -> None:
    euro = await shop.sells(currency="EUR")
    cart = await shop.guest_cart()
    answer = await cart.request("POST", "/items", {"variant_id": str(euro), "quantity": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "currency_mismatch")
    assert (await shop.guest_cart((euro, 1), currency="EUR")).body["currency"] == "EUR"
