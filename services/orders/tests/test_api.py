"""Checkout over HTTP: requests, responses and what strangers cannot see."""

import asyncio
import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.ids import new_id
from contracts.inventory import ReserveStock, StockReserved
from contracts.money import Money
from contracts.notifications import Notify
from contracts.orders import OrderPlaced
from contracts.payments import CancelPayment, PaymentCaptured
from orders.main import service
from testkit.harness import Harness, model_differences, service_token


async def test_a_checkout_places_an_order_and_reserves_its_stock(orders: Any, guest: Any) -> None:
    answer = await guest.check_out()

    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["status"] == "pending"
    assert body["order_number"].endswith("-000001")
    assert body["total"] == {"amount": 2500, "currency": "USD"}
    assert body["order_token"].startswith("ord_")
    assert [type(m) for m in await orders.published()] == [OrderPlaced, ReserveStock]
    # The order's next event is number 2.
    assert [row.sequence for row in await orders.sql("select sequence from orders")] == [1]


async def test_the_order_token_is_never_stored(orders: Any, guest: Any) -> None:
    token = (await guest.check_out()).json()["order_token"]
    for table in ("idempotency_keys", "orders", "checkout_sagas", "saga_log", "outbox"):
        rows = await orders.sql(f"select t::text from {table} t")
        assert all(token not in row[0] for row in rows)
    answers = await orders.sql("select convert_from(answer, 'utf8') from idempotency_keys")
    assert token not in answers[0][0]


async def test_the_same_checkout_twenty_times_is_one_order(orders: Any, guest: Any) -> None:
    answers = await asyncio.gather(*(guest.check_out() for _ in range(20)))

    assert {a.status_code for a in answers} <= {202, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 202}) == 1
    repeat = await guest.check_out()
    assert repeat.json()["order_token"].startswith("ord_")
    assert len(await orders.sql("select * from orders")) == 1


async def test_another_key_for_the_same_cart_is_refused(orders: Any, guest: Any) -> None:
    await guest.check_out(key="a")
    answer = await guest.check_out(key="b")
    assert (answer.status_code, answer.json()["code"]) == (409, "cart_already_ordered")


async def test_a_refusal_by_cart_is_passed_to_the_client(
    orders: Any, cart: Any, guest: Any
) -> None:
    cart.refusal = (409, "total_changed")
    answer = await guest.check_out()
    assert (answer.status_code, answer.json()["code"]) == (409, "total_changed")
    cart.refusal = None
    assert (await guest.check_out()).status_code == 202


async def test_an_unavailable_cart_is_503_and_frees_the_key(
    orders: Any, cart: Any, guest: Any
) -> None:
    cart.refusal = (500, "broken")
    answer = await guest.check_out()
    assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
    cart.refusal = None
    assert (await guest.check_out()).status_code == 202


@pytest.mark.parametrize(
    "payment",
    [
        {"method": "card"},
        {"method": "card", "token": "tok_ok", "saved_method_id": str(new_id())},
        {"method": "card", "token": "4242424242424242"},
        {"method": "card", "token": "4242-4242-4242-4242"},
        {"method": "gold", "token": "tok_ok"},
        {"method": "card", "token": "tok ok"},
    ],
)
async def test_a_payment_without_one_instrument_is_refused(
    guest: Any, payment: dict[str, Any]
) -> None:
    assert (await guest.check_out(payment=payment)).status_code == 422


@pytest.mark.parametrize("prefer", ["wait=x", "wait=-1", "wait=", "wait=1.5", "wait=99999"])
async def test_a_bad_preference_is_refused(guest: Any, prefer: str) -> None:
    answer = await guest.check_out(prefer=prefer)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_prefer")


async def test_a_waiting_checkout_returns_the_outcome(orders: Any, guest: Any) -> None:
    waiting = asyncio.create_task(guest.check_out(prefer="wait=2"))
    while not (placed := await orders.published(OrderPlaced)):
        assert not waiting.done(), waiting.result().text
        await asyncio.sleep(0.01)
    order_id = placed[0].order_id
    await confirm(orders, order_id)
    orders.running.resources.watch.wake(order_id)
    answer = await waiting

    assert answer.status_code == 200
    assert answer.json()["status"] == "confirmed"
    assert answer.json()["order_token"].startswith("ord_")


async def test_a_wait_that_ends_without_an_outcome_returns_202(guest: Any) -> None:
    assert (await guest.check_out(prefer="wait=1")).status_code == 202


async def test_strangers_read_no_order(orders: Any, guest: Any) -> None:
    order = (await guest.check_out()).json()
    url = f"/v1/orders/{order['id']}"
    client: httpx.AsyncClient = orders.client
    staff = orders.signed_in(permissions=("orders:read",))
    own = {"X-Order-Token": order["order_token"]}

    assert (await client.get(url)).status_code == 401
    assert (await client.get(url, headers=own)).status_code == 200
    assert (await client.get(url, headers=staff)).status_code == 200
    for path in ("", "/history", "/progress"):
        assert (await client.get(url + path, headers=orders.signed_in())).status_code == 404
        stranger = {"X-Order-Token": "ord_another"}
        assert (await client.get(url + path, headers=stranger)).status_code == 404
    for who in (orders.signed_in(), {"X-Order-Token": "x"}):
        headers = {**who, "Idempotency-Key": "c"}
        assert (
            await client.post(f"{url}/cancellation", json={}, headers=headers)
        ).status_code == 404
    assert (await client.get("/v1/admin/orders", headers=orders.signed_in())).status_code == 403


async def test_a_customer_sees_their_orders_page_by_page(orders: Any, guest: Any) -> None:
    customer = new_id()
    headers = orders.signed_in(customer_id=customer)
    for number in range(3):
        body = {"cart_id": str(new_id()), "payment": {"method": "cod"}}
        answer = await orders.client.post(
            "/v1/orders", json=body, headers={**headers, "Idempotency-Key": f"k{number}"}
        )
        assert answer.status_code == 202, answer.text
        assert answer.json()["order_token"] is None
    first = (await orders.client.get("/v1/orders?limit=2", headers=headers)).json()
    rest = (
        await orders.client.get(f"/v1/orders?cursor={first['next_cursor']}", headers=headers)
    ).json()
    assert [len(first["items"]), len(rest["items"]), rest["next_cursor"]] == [2, 1, None]


async def test_cancelling_while_pending_is_accepted_once(orders: Any, guest: Any) -> None:
    order = (await guest.check_out()).json()
    await orders.deliver(StockReserved(order_id=UUID(order["id"]), allocations=[]))
    url = f"/v1/orders/{order['id']}/cancellation"
    headers = {"X-Order-Token": order["order_token"], "Idempotency-Key": "c1"}
    answer = await orders.client.post(url, json={}, headers=headers)

    assert answer.status_code == 202, answer.text
    assert answer.json()["cancellation"]["state"] == "requested"
    again = await orders.client.post(url, json={}, headers=headers)
    assert again.content == answer.content
    headers["Idempotency-Key"] = "c2"
    assert (await orders.client.post(url, json={}, headers=headers)).status_code == 202
    assert len(await orders.published(CancelPayment)) == 1


async def test_concurrent_cancellations_and_replies_are_serialised(orders: Any, guest: Any) -> None:
    order = (await guest.check_out()).json()
    url = f"/v1/orders/{order['id']}/cancellation"
    token = {"X-Order-Token": order["order_token"]}
    answers = await asyncio.gather(
        *(
            orders.client.post(url, json={}, headers={**token, "Idempotency-Key": f"c{n}"})
            for n in range(5)
        ),
        orders.deliver(StockReserved(order_id=UUID(order["id"]), allocations=[])),
    )
    assert {a.status_code for a in answers if a is not None} == {202}
    (saga,) = await orders.sql("select stage from checkout_sagas")
    assert saga.stage in ("releasing", "cancelling_payment")


async def test_progress_streams_until_the_end(orders: Any, guest: Any) -> None:
    order = (await guest.check_out()).json()
    await orders.sql("update orders set status = 'cancelled', version = 2")
    answer = await orders.client.get(
        f"/v1/orders/{order['id']}/progress", headers={"X-Order-Token": order["order_token"]}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: order" in answer.text


async def test_a_verified_owner_claims_a_guest_order(orders: Any, guest: Any) -> None:
    order = (await guest.check_out(email="ada@example.com")).json()
    url = f"/v1/orders/{order['id']}/claim"
    unverified = orders.signed_in(email_verified=False)
    assert (await orders.client.post(url, headers=unverified)).status_code == 403
    other = orders.signed_in(email="eve@example.com")
    assert (await orders.client.post(url, headers=other)).status_code == 404
    owner = orders.signed_in(email="ada@example.com")
    assert (await orders.client.post(url, headers=owner)).status_code == 200
    assert (await orders.client.get(f"/v1/orders/{order['id']}", headers=owner)).status_code == 200


async def test_staff_see_the_saga_step_by_step(orders: Any, guest: Any) -> None:
    order = (await guest.check_out()).json()
    await orders.deliver(StockReserved(order_id=UUID(order["id"]), allocations=[]))
    headers = orders.signed_in(permissions=("orders:read",))
    saga = (await orders.client.get(f"/v1/admin/sagas/{order['id']}", headers=headers)).json()
    assert [(s["heard"], s["next_stage"]) for s in saga["steps"]] == [
        ("Placed", "reserving"),
        ("StockReserved", "collecting"),
    ]
    for query in ("", "?stuck=true", "?stage=collecting"):
        listed = await orders.client.get(f"/v1/admin/sagas{query}", headers=headers)
        assert listed.status_code == 200
    found = await orders.client.get(
        f"/v1/admin/orders?order_number={order['order_number']}", headers=headers
    )
    assert len(found.json()["items"]) == 1


async def test_only_cart_reads_the_state_of_an_order(orders: Any, guest: Any) -> None:
    order = (await guest.check_out()).json()
    url = f"/internal/orders/{order['id']}"
    for name, status in (("cart", 200), ("shipping", 403)):
        headers = {"Authorization": f"Bearer {service_token(name)}"}
        assert (await orders.client.get(url, headers=headers)).status_code == status


async def test_notifications_reads_the_link_of_a_confirmed_order(orders: Any, guest: Any) -> None:
    order = (await guest.check_out()).json()
    order_id = UUID(order["id"])

    async def link(name: str = "notifications") -> httpx.Response:
        headers = {"Authorization": f"Bearer {service_token(name)}"}
        answer: httpx.Response = await orders.client.post(
            f"/internal/mail-links/{order_id}", headers=headers
        )
        return answer

    assert (await link()).status_code == 404
    await confirm(orders, order_id)
    [mail] = await orders.published(Notify)
    assert set(mail.facts) == {"name", "order_number", "items", "total"}
    assert (await link("cart")).status_code == 403
    guests = f"/orders/{order_id}?token={order['order_token']}"
    assert (await link()).json()["link"].endswith(guests)
    assert (await link()).json() == (await link()).json()

    await orders.sql("update orders set access_hash = :other", other="0" * 64)
    assert (await link()).json()["link"].endswith(f"/orders/{order_id}")
    await orders.sql("update orders set access_hash = null")
    assert (await link()).json()["link"].endswith(f"/orders/{order_id}")


async def test_the_migration_removes_tokens_from_facts(orders: Any, guest: Any) -> None:
    order_id = UUID((await guest.check_out()).json()["id"])
    link = "https://shop.example/orders/1?token=ord_secret"
    for stage, has_token in (("collecting", True), ("completed", False), ("cancelled", False)):
        await orders.sql(
            "update checkout_sagas set stage = :stage, facts = "
            "facts || cast(:link as jsonb) || cast(:payment as jsonb)",
            stage=stage,
            link=json.dumps({"link": link}),
            payment=json.dumps({"payment": {"token": "tok_ok", "capture": "now"}}),
        )
        await orders.run_revision("0003")
        (saga,) = await orders.sql("select facts from checkout_sagas")
        assert saga.facts["link"] == "https://shop.example/orders/1"
        assert ("token" in saga.facts["payment"]) is has_token
        assert saga.facts["payment"]["capture"] == "now"
    assert order_id


async def confirm(orders: Any, order_id: UUID) -> None:
    """Bring an order past its pivot."""
    usd = Money(amount=2500, currency="USD")
    paid = PaymentCaptured(order_id=order_id, payment_id=new_id(), method="card", captured=usd)
    await orders.deliver(StockReserved(order_id=order_id, allocations=[]))
    await orders.deliver(paid)


async def test_two_processes_issue_distinct_order_numbers(orders: Harness[Any]) -> None:
    from chassis.ids import utcnow
    from orders.service import OrderNumbers

    both = [OrderNumbers(orders.running.database, 3) for _ in range(2)]
    taken = await asyncio.gather(*(n.take(utcnow()) for n in both for _ in range(10)))
    assert len(set(taken)) == 20


def test_the_tables_match_the_migrations(template: str) -> None:
    assert model_differences(service, template) == []
