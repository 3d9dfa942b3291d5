"""Every refusal the business knows: named, clear, and without effect."""

import asyncio
import base64
import copy
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import httpx
import pytest

from invariants import InvariantChecker
from shopfloor import Buyer, Product, Staff, key, ok, until
from suite.instance import Instance
from suite.shop.sample import ADDRESS
from testkit.conformance import Declared, check_declared


def refused(answer: httpx.Response, status: int, *codes: str) -> None:
    """The answer is a problem document with this status and one of these codes."""
    assert answer.status_code == status, f"{answer.request.url}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"]
    assert not codes or answer.json()["code"] in codes, answer.text


async def test_an_answer_that_is_not_declared_is_seen(
    instance: Instance, api_document: dict[str, Any], staff: Staff
) -> None:
    silent = copy.deepcopy(api_document)
    del silent["paths"]["/v1/products/{id_or_slug}"]["get"]["responses"]["404"]
    hooks = {"response": [check_declared(Declared(silent))]}
    async with httpx.AsyncClient(base_url=instance.url("gateway"), event_hooks=hooks) as client:
        assert (await client.get("/v1/products")).is_success
        with pytest.raises(AssertionError, match="products_get answered 404"):
            await client.get(f"/v1/products/{uuid.uuid4()}")


async def test_carts_that_cannot_be_bought(
    http: httpx.AsyncClient, staff: Staff, at_rest: InvariantChecker
) -> None:
    product, withdrawn = await staff.sell(stock=5), await staff.sell(stock=5)

    empty = Buyer(http, staff)
    await empty.fill()
    refused(await empty.check_out(), 409, "cart_empty")

    nowhere = Buyer(http, staff)
    await nowhere.fill((product, 1))
    abroad = {**ADDRESS, "country": "CH", "postal_code": "8001", "city": "Zürich"}
    del abroad["state"]
    answer = await nowhere.check_out(shipping_address=abroad)
    refused(answer, 422, "no_shipping_zone")
    refused(await nowhere.check_out(shipping_method_id=str(uuid.uuid4())), 422)
    refused(await nowhere.check_out(shipping_address=None), 422, "address_missing")
    too_little = {"amount": 1, "currency": "USD"}
    refused(await nowhere.check_out(expected_total=too_little), 409, "total_changed")
    refused(await nowhere.check_out(coupon_code="NEVERHEARDOF"), 404, "coupon_unknown")

    late = Buyer(http, staff)
    await late.fill((withdrawn, 1))
    await retire(staff, withdrawn)
    await until(lambda: knows(late, "line_unavailable"))
    refused(await late.check_out(), 409, "line_unavailable")

    expired = Buyer(http, staff)
    await expired.fill((product, 1))
    await at_rest.rows(
        "cart", "update carts set status = 'abandoned' where id = $1", uuid.UUID(expired.cart_id)
    )
    refused(await expired.check_out(), 410, "cart_expired")

    whole = Buyer(http, staff)
    await whole.fill((product, 1))
    assert ok(await whole.check_out())["status"] == "confirmed"
    refused(await whole.check_out(), 409, "cart_converted", "cart_locked", "cart_already_ordered")


async def retire(staff: Staff, product: Product) -> None:
    """Take a product off sale."""
    url = f"/v1/admin/products/{product.id}"
    version = (await staff.http.get(url, headers=staff.headers)).headers["ETag"]
    ok(await staff.http.delete(url, headers={**staff.headers, "If-Match": version}))


async def knows(buyer: Buyer, problem: str) -> bool:
    """Whether the cart has received what prevents its purchase."""
    cart = ok(await buyer.http.get(f"/v1/carts/{buyer.cart_id}", headers=buyer.headers))
    return problem in cart["problems"]


async def test_quantities_and_headers_out_of_bounds(
    http: httpx.AsyncClient, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=500)
    await buyer.fill((product, 1))
    url = f"/v1/carts/{buyer.cart_id}/items"
    for quantity in (0, -1, 100, 10**12):
        wanted = {"variant_id": product.variant_id, "quantity": quantity}
        refused(await http.post(url, json=wanted, headers=buyer.headers), 422)
    wanted = {"variant_id": product.variant_id, "quantity": 99}
    refused(await http.post(url, json=wanted, headers=buyer.headers), 409, "quantity_limit")
    unknown = {"variant_id": str(uuid.uuid4()), "quantity": 1}
    refused(await http.post(url, json=unknown, headers=buyer.headers), 404, "variant_unknown")

    for prefer in ("wait=-1", "wait=soon", "wait=1.5", "wait=" + "9" * 90):
        headers = {**buyer.headers, **key(), "Prefer": prefer}
        answer = await http.post("/v1/orders", json=buyer.order(), headers=headers)
        refused(answer, 400, "bad_prefer")
    for name, code in (("", "bad_idempotency_key"), ("a b", "bad_idempotency_key")):
        headers = {**buyer.headers, "Idempotency-Key": name}
        refused(await http.post("/v1/orders", json=buyer.order(), headers=headers), 400, code)
    answer = await http.post("/v1/orders", json=buyer.order(), headers=buyer.headers)
    refused(answer, 400, "idempotency_key_missing")

    mine = uuid.uuid4().hex
    order = ok(await buyer.check_out(idempotency_key=mine))
    again = ok(await buyer.check_out(idempotency_key=mine))
    assert again["id"] == order["id"]
    other = await buyer.check_out(idempotency_key=mine, email="other@buyer.example")
    refused(other, 422, "idempotency_key_reused")


async def test_money_and_orders_move_once(
    http: httpx.AsyncClient, staff: Staff, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=20)
    owner, thief = Buyer(http, staff), Buyer(http, staff)
    await owner.sign_up()
    await thief.sign_up()
    saved = ok(
        await http.post(
            "/v1/me/payment-methods",
            json={"type": "card", "token": "tok_ok"},
            headers={**owner.headers, **key()},
        )
    )
    foreign = {"method": "card", "saved_method_id": saved["id"]}
    await thief.fill((product, 1))
    stolen = ok(await thief.check_out(payment=foreign))
    assert (await staff.ended(stolen["id"]))["stage"] == "cancelled"
    assert (await thief.read(stolen["id"]))["payment"]["status"] != "paid"

    order = await owner.buys(product)
    await staff.ended(order["id"])
    payment = await owner.payment(order["id"])
    refunds = f"/v1/admin/payments/{payment['id']}/refunds"
    for amount, status in ((10**9, 409), (0, 409), (-5, 422)):
        body = {"amount": {"amount": amount, "currency": "USD"}, "reason": "a test"}
        answer = await http.post(refunds, json=body, headers={**staff.headers, **key()})
        refused(answer, status)
    wrong = {"amount": {"amount": 1, "currency": "EUR"}, "reason": "a test"}
    answer = await http.post(refunds, json=wrong, headers={**staff.headers, **key()})
    assert answer.status_code in (409, 422), answer.text

    first, second = await asyncio.gather(owner.cancel(order["id"]), owner.cancel(order["id"]))
    assert {first.status_code, second.status_code} <= {200, 202, 409}
    assert (await owner.reaches(order["id"], "cancelled"))["payment"]["status"] == "refunded"
    refused(await owner.cancel(order["id"]), 409, "already_cancelled")


async def test_the_catalogue_refuses_doubles_and_cycles(
    http: httpx.AsyncClient, staff: Staff, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    double = {
        "category_id": staff.category_id,
        "name": "Another",
        "base_price": {"amount": 100, "currency": "USD"},
        "variants": [{"sku": product.sku}],
    }
    headers = {**staff.headers, **key()}
    refused(await http.post("/v1/admin/products", json=double, headers=headers), 409)
    top = await staff.post("/v1/admin/categories", {"name": f"Top {uuid.uuid4().hex[:6]}"})
    leaf = await staff.post(
        "/v1/admin/categories", {"name": f"Leaf {uuid.uuid4().hex[:6]}", "parent_id": top["id"]}
    )
    url = f"/v1/admin/categories/{top['id']}"
    for parent in (leaf["id"], top["id"]):
        change = {"parent_id": parent}
        answer = await http.patch(url, json=change, headers={**staff.headers, "If-Match": '"1"'})
        refused(answer, 409, "category_cycle")


def signed(instance: Instance, body: bytes, at: float, secret: str = "") -> dict[str, str]:
    """The headers of a provider's webhook, by Standard Webhooks."""
    secret = secret or instance.environment.secrets["provider:webhook"]
    raw = secret.removeprefix("whsec_")
    known = base64.b64decode(raw) if raw != secret else secret.encode()
    event, moment = f"evt_{uuid.uuid4().hex}", str(int(at))
    digest = hmac.digest(known, f"{event}.{moment}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": event,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "Content-Type": "application/json",
    }


@pytest.mark.parametrize("fault", ["nothing", "nonsense", "other key", "old", "early", "altered"])
async def test_a_webhook_that_is_not_the_providers_is_refused(
    http: httpx.AsyncClient, instance: Instance, fault: str
) -> None:
    body, now = b'{"id": "evt_1", "type": "charge.succeeded"}', time.time()
    headers = signed(instance, body, now)
    match fault:
        case "nothing":
            headers = {"Content-Type": "application/json"}
        case "nonsense":
            headers["webhook-signature"] = "v1,***"
        case "other key":
            headers = signed(instance, body, now, "whsec_" + base64.b64encode(b"x" * 32).decode())
        case "old":
            headers = signed(instance, body, now - 3600)
        case "early":
            headers = signed(instance, body, now + 3600)
        case "altered":
            body += b" "
    url = "/v1/webhooks/payments/sandbox"
    refused(await http.post(url, content=body, headers=headers), 401, "bad_signature")


async def charged(instance: Instance, order_id: str) -> dict[str, Any] | None:
    """The charge of an order, as the provider reports it."""
    api_key = instance.environment.secrets["provider:key"]
    async with httpx.AsyncClient(base_url=instance.url("sandbox_provider")) as provider:
        answer = await provider.get(
            "/v1/charges",
            params={"reference": order_id},
            headers={"Authorization": f"Bearer {api_key}"},
        )
    charges = ok(answer)["charges"]
    return charges[0] if charges else None


async def test_a_mismatch_at_the_provider_confirms_nothing(
    http: httpx.AsyncClient,
    instance: Instance,
    staff: Staff,
    buyer: Buyer,
    at_rest: InvariantChecker,
) -> None:
    product = await staff.sell(stock=5)
    await buyer.fill((product, 1))
    order = ok(await buyer.check_out(wait=0, payment={"method": "card", "token": "tok_action"}))
    charge: Any = await until(lambda: charged(instance, order["id"]))
    url = "/v1/webhooks/payments/sandbox"
    true = {**charge, "status": "succeeded", "captured_amount": charge["amount"], "version": 99}
    lies: list[dict[str, Any]] = [
        {**true, "amount": 1, "captured_amount": 1},
        {**true, "currency": "EUR"},
        {**true, "id": "ch_unknown", "reference": str(uuid.uuid4()), "metadata": {}},
    ]
    for lie in lies:
        event = {"id": uuid.uuid4().hex, "type": "charge.succeeded", "created": 1, "data": lie}
        body = json.dumps(event).encode()
        answer = await http.post(url, content=body, headers=signed(instance, body, time.time()))
        assert answer.status_code == 204, answer.text
    assert (await buyer.read(order["id"]))["payment"]["status"] != "paid"
    assert (await staff.ended(order["id"]))["stage"] == "cancelled"
