"""One customer's whole way through the shop, from a guest's cart to the parcel at the door."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from invariants import InvariantChecker
from mailboxes import Mailbox
from recorder import Recorder
from shopfloor import Buyer, Staff, ok, until
from suite.instance import Instance
from suite.shop.sample import ADDRESS

TAXED = {**ADDRESS, "state": "TX", "city": "Austin", "postal_code": "78701"}
TAX_BPS = 825
NOTIFIED = [
    "order_confirmation",
    "order_shipped",
    "order_in_transit",
    "order_out_for_delivery",
    "order_delivered",
]


async def test_a_guest_becomes_a_customer_buys_and_gets_the_parcel(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    await tax(staff)
    tea, pot, cup = [await staff.sell(stock=9, price_amount=price) for price in (1250, 4999, 333)]
    letters = Mailbox(instance, buyer.email)

    # A guest's cart, two items and a coupon.
    await buyer.fill((tea, 2))
    guest_cart = f"/v1/carts/{buyer.cart_id}"
    await shop(buyer, "POST", f"{guest_cart}/items", {"variant_id": pot.variant_id, "quantity": 1})
    cart = await shop(buyer, "PUT", f"{guest_cart}/coupon", {"code": await staff.coupon()})
    assert (cart["subtotal"]["amount"], cart["discount"]["amount"]) == (7499, 750)

    # The guest registers, logs in and proves the address.
    guest_token = buyer.cart_token
    await buyer.sign_up()
    body = {"token": await letters.token("Confirm your e-mail address")}
    ok(await buyer.http.post("/v1/auth/verify", json=body, headers=buyer.headers))

    # The cart of an earlier visit takes in the guest's.
    await buyer.fill((cup, 3))
    cart = await shop(buyer, "POST", "/v1/carts/merge", {"cart_token": guest_token})
    assert {item["sku"]: item["quantity"] for item in cart["items"]} == {
        tea.sku: 2,
        pot.sku: 1,
        cup.sku: 3,
    }
    assert cart["coupon"]["problem"] is None

    # Address and shipping method; what is shown now is what will be charged.
    own_cart = f"/v1/carts/{cart['id']}"
    await shop(buyer, "PATCH", own_cart, {"shipping_address": TAXED})
    methods = (await shop(buyer, "GET", f"{own_cart}/shipping-methods"))["methods"]
    chosen = {"shipping_method_id": staff.shipping_method_id}
    assert staff.shipping_method_id in [method["id"] for method in methods]

    async def final() -> Any:
        shown = await shop(buyer, "PATCH", own_cart, chosen)
        return shown if shown["is_final"] and shown["tax"]["amount"] else None

    cart = await until(final)
    buyer.cart_id = cart["id"]
    order = ok(await buyer.check_out(expected_total=cart["total"], **unsaid(buyer)))
    assert order["status"] == "confirmed"
    adds_up(order, cart)

    # The parcel is made, leaves and arrives.
    saga = await staff.ended(order["id"])
    assert [step["heard"] for step in saga["steps"]] == [
        "Placed",
        "StockReserved",
        "PromotionsRedeemed",
        "PaymentCaptured",
        "ShipmentsCreated",
    ]
    number = f"1Z{order['order_number']}"
    await staff.track(order["id"], "packed", tracking_number=number)
    await staff.track(order["id"], "shipped", "in_transit", "out_for_delivery")
    shipped = await buyer.reaches(order["id"], "shipped")
    assert [parcel["tracking_number"] for parcel in shipped["shipments"]] == [number]
    await staff.track(order["id"], "delivered")
    await buyer.reaches(order["id"], "delivered")
    parcels = await shop(buyer, "GET", f"/v1/shipments?order_id={order['id']}")
    assert [event["type"] for event in parcels["items"][0]["tracking_events"]] == [
        "packed",
        "shipped",
        "in_transit",
        "out_for_delivery",
        "delivered",
    ]
    assert await staff.level(tea) == (7, 0)
    await was_notified(buyer, letters, order)
    await is_remembered(buyer, order)
    hides_secrets(at_rest.recorder, buyer)


async def tax(staff: Staff) -> None:
    """Have the state of the journey's address taxed."""
    rate = {"country": "US", "state": "TX", "rate_bps": TAX_BPS, "prices_include_tax": False}
    answer = await staff.http.post("/v1/admin/tax-rates", json=rate, headers=staff.headers)
    assert answer.status_code in (201, 409), answer.text


async def shop(buyer: Buyer, method: str, url: str, body: Any = None) -> Any:
    """One step of shopping, which must succeed."""
    return ok(await buyer.http.request(method, url, json=body, headers=buyer.headers))


def unsaid(buyer: Buyer) -> dict[str, Any]:
    """What the checkout may leave out because the cart holds it."""
    return {"shipping_address": TAXED, "shipping_method_id": buyer.staff.shipping_method_id}


def adds_up(order: Any, cart: Any) -> None:
    """Every part of the price is what the cart showed, and their sum is the total."""
    parts = ("subtotal", "discount", "shipping", "tax", "total")
    assert {name: order.get(f"{name}_amount", order["total"]["amount"]) for name in parts} == {
        name: cart[name]["amount"] for name in parts
    }
    assert (order["subtotal_amount"], order["discount_amount"]) == (8498, 850)
    assert order["total"]["amount"] == (
        order["subtotal_amount"]
        - order["discount_amount"]
        + order["shipping_amount"]
        + order["tax_amount"]
    )
    lines = order["lines"]
    assert sum(line["discount_amount"] for line in lines) == order["discount_amount"]
    for line in lines:
        net = line["unit_price_amount"] * line["quantity"] - line["discount_amount"]
        assert line["tax_amount"] == round(net * TAX_BPS / 10_000)
        assert line["total_amount"] == net + line["tax_amount"]
    shipping_tax = order["tax_amount"] - sum(line["tax_amount"] for line in lines)
    assert shipping_tax == round(order["shipping_amount"] * TAX_BPS / 10_000)
    whole = sum(line["total_amount"] for line in lines) + order["shipping_amount"] + shipping_tax
    assert whole == order["total"]["amount"]


async def was_notified(buyer: Buyer, letters: Mailbox, order: Any) -> None:
    """Each step was mailed once and shown in the app once."""
    for words in ("is confirmed", "on its way", "in transit", "arrives today", "was delivered"):
        assert order["order_number"] in await letters.expect(words)

    async def shown() -> Any:
        found = (await shop(buyer, "GET", "/v1/me/notifications"))["items"]
        return found if len(found) >= len(NOTIFIED) else None

    assert sorted(each["type"] for each in await until(shown)) == sorted(NOTIFIED)


async def is_remembered(buyer: Buyer, order: Any) -> None:
    """The order is in its customer's list, with every change of its status."""
    listed = (await shop(buyer, "GET", "/v1/orders"))["items"]
    assert [each["id"] for each in listed] == [order["id"]]
    history = await shop(buyer, "GET", f"/v1/orders/{order['id']}/history")
    assert [each["to_status"] for each in history] == [
        "pending",
        "confirmed",
        "shipped",
        "delivered",
    ]
    stranger = Buyer(buyer.http, buyer.staff)
    await stranger.sign_up()
    assert (await shop(stranger, "GET", "/v1/orders"))["items"] == []
    answer = await buyer.http.get(f"/v1/orders/{order['id']}", headers=stranger.headers)
    assert answer.status_code == 404


def hides_secrets(recorder: Recorder, buyer: Buyer) -> None:
    """No event that others may read holds an address, a name or anything that opens a door."""
    secrets = (buyer.email, buyer.access_token, TAXED["line1"], TAXED["recipient_name"], "tok_ok")
    received = b"".join(recorder.bodies).decode()
    assert [secret for secret in secrets if secret in received] == []


async def test_a_guest_follows_the_order_live_from_pending_to_delivered(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    order = await buyer.buys(product, wait=0, payment={"method": "card", "token": "tok_action"})
    assert (order["status"], order["lines"][0]["quantity"]) == ("pending", 1)

    seen: list[str] = []
    async with buyer.http.stream(
        "GET", order["progress_url"], headers=buyer.headers, timeout=60
    ) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        async for view in events(stream):
            moved = not seen or seen[-1] != view["status"]
            seen += [view["status"]] if moved else []
            if view["status"] == "pending" and view["payment"]["action_required"]:
                await buyer.answers_provider(order["id"], "confirm")
            if view["status"] == "confirmed" and moved:
                await staff.ended(order["id"])
                await staff.track(order["id"], "shipped", "delivered")
    assert seen[0] == "pending"
    assert seen[1] == "confirmed"
    assert seen[-1] == "delivered"


async def events(stream: httpx.Response) -> AsyncIterator[Any]:
    """The data of server-sent events, until the server closes the stream."""
    async for line in stream.aiter_lines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


async def test_a_client_may_wait_for_the_outcome_or_not(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=3)
    await buyer.fill((product, 1))
    waited = await buyer.check_out(wait=20)
    assert (waited.status_code, waited.json()["status"]) == (200, "confirmed")
    assert waited.headers["preference-applied"] == "wait=20"

    other = Buyer(buyer.http, staff)
    await other.fill((product, 1))
    at_once = await other.check_out(wait=0)
    assert (at_once.status_code, at_once.json()["status"]) == (202, "pending")
    assert at_once.headers["location"] == f"/v1/orders/{at_once.json()['id']}"
    await other.reaches(at_once.json()["id"], "confirmed")

    # Who waits for a customer's word is answered as soon as that word is needed.
    third = Buyer(buyer.http, staff)
    needed = await third.buys(product, payment={"method": "paypal", "token": "tok_ok"})
    assert (needed["status"], needed["payment"]["action_required"]) == ("pending", True)
    await third.answers_provider(needed["id"], "confirm")
    await third.reaches(needed["id"], "confirmed")
