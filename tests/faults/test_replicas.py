"""Races on two replicas: what only one may win is won once, on any replica."""

import asyncio
from collections import Counter

import httpx
import pytest

from invariants import InvariantChecker
from replicas import replica
from scenarios import PIECES, rush, some_key
from shopfloor import Buyer, Product, Staff, key, until
from suite.instance import Instance
from summary import Watch

pytestmark = pytest.mark.full
TWENTY = 20
FIFTY = 50


async def all_is_well(watch: Watch) -> None:
    """Nothing was lost, doubled or unexpected."""
    summary = await watch.summary(injected=1)
    assert summary.is_clean(), "\n".join(summary.found)


async def test_ten_pieces_and_thirty_buyers_on_two_replicas(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker, seed: int
) -> None:
    watch = Watch(books, "10 pieces, 30 buyers, two replicas", seed)
    async with replica(instance, "inventory"), replica(instance, "orders"):
        for _ in range(3):
            product = await staff.sell(stock=PIECES)
            ends = Counter(await rush(staff, http, product))
            assert ends["confirmed"] == PIECES
            assert await staff.level(product) == (PIECES, PIECES)
    await all_is_well(watch)


async def test_one_key_and_one_cart_on_two_replicas_are_one_order(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker, seed: int
) -> None:
    """Twenty times under one key, then twenty keys for one cart, half of them at each replica."""
    watch = Watch(books, "one key 20 times, 20 keys for one cart, two replicas", seed)
    product = await staff.sell(stock=50)
    async with (
        replica(instance, "orders") as second,
        httpx.AsyncClient(base_url=second, timeout=60) as there,
        httpx.AsyncClient(base_url=instance.url("orders"), timeout=60) as here,
    ):
        for same in (some_key(), None):
            buyer = Buyer(http, staff)
            await buyer.fill((product, 1))
            orders = await asyncio.gather(
                *(ordered(client, buyer, same) for client in (here, there) * (TWENTY // 2))
            )
            won = {order for order in orders if order}
            assert len(won) == 1
            assert orders.count(None) == (0 if same else TWENTY - 1)
            await staff.ended(won.pop())
    await all_is_well(watch)


async def ordered(client: httpx.AsyncClient, buyer: Buyer, same: str | None) -> str | None:
    """Order the buyer's cart; the id, or None when another request has it."""

    async def served() -> httpx.Response | None:
        headers = {**buyer.headers, "Idempotency-Key": same or some_key()}
        answer = await client.post("/v1/orders", json=buyer.order(), headers=headers)
        running = answer.status_code == 409 and answer.json()["code"] == "idempotency_key_running"
        return None if running else answer

    answer = await until(served)
    assert answer.status_code in (202, 409), answer.text
    return str(answer.json()["id"]) if answer.is_success else None


async def test_cancelling_capturing_and_shipping_meet(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker, seed: int
) -> None:
    """Cash on delivery, so that the capture comes with the delivery; every order has all three."""
    watch = Watch(books, "cancel against capture against ship, two replicas", seed)
    product = await staff.sell(stock=100)

    async def meets(pause: float) -> None:
        buyer = Buyer(http, staff)
        order = await buyer.buys(product, payment={"method": "cod"})
        await staff.ended(order["id"])

        async def cancels() -> None:
            await asyncio.sleep(pause)
            assert (await buyer.cancel(order["id"])).status_code in (202, 409)

        await asyncio.gather(cancels(), delivered(staff, order["id"]))
        await staff.ended(order["id"])

    async with (
        replica(instance, "orders"), replica(instance, "payments"), replica(instance, "shipping"),
    ):  # fmt: skip
        await asyncio.gather(*(meets(n * 0.02) for n in range(12)))
    await all_is_well(watch)


async def delivered(staff: Staff, order_id: str) -> None:
    """Report the parcels handed over and delivered, unless they were recalled meanwhile."""
    for parcel in (await staff.get("/v1/admin/shipments", order_id=order_id))["items"]:
        for milestone in ("shipped", "delivered"):
            url = f"/v1/admin/shipments/{parcel['id']}/tracking-events"
            answer = await staff.http.post(
                url, json={"type": milestone}, headers={**staff.headers, **key()}
            )
            assert answer.status_code in (201, 409), answer.text


async def test_refunds_meet_and_give_back_no_more_than_was_paid(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker, seed: int
) -> None:
    watch = Watch(books, "refund against refund, two replicas", seed)
    product = await staff.sell(stock=10)
    buyer = Buyer(http, staff)
    order = await buyer.buys(product)
    await staff.ended(order["id"])
    payment_id = (await buyer.payment(order["id"]))["id"]
    body = {"amount": {"amount": 1500, "currency": "USD"}, "reason": "a scratch"}
    async with (
        replica(instance, "payments") as second,
        httpx.AsyncClient(base_url=second, timeout=60) as there,
        httpx.AsyncClient(base_url=instance.url("payments"), timeout=60) as here,
    ):
        answers = await asyncio.gather(
            *(
                client.post(
                    f"/v1/admin/payments/{payment_id}/refunds",
                    json=body, headers={**staff.headers, **key()},
                )
                for client in (here, there) * 4
            )
        )  # fmt: skip
    counted = Counter(answer.status_code for answer in answers)
    assert counted == {201: 1, 409: 7}, [answer.text for answer in answers]
    await all_is_well(watch)


async def test_a_coupon_for_one_and_fifty_who_show_it(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker, seed: int
) -> None:
    watch = Watch(books, "one single-use coupon, 50 buyers, two replicas", seed)
    product: Product = await staff.sell(stock=200)
    code = await staff.coupon(max_uses=1)
    buyers = [Buyer(http, staff) for _ in range(FIFTY)]
    await asyncio.gather(*(buyer.fill((product, 1)) for buyer in buyers))
    async with replica(instance, "promotions"), replica(instance, "orders"):
        answers = await asyncio.gather(*(b.check_out(coupon_code=code) for b in buyers))
    await all_is_well(watch)
    placed = [answer.json()["id"] for answer in answers if answer.is_success]
    sold = await books.rows(
        "orders", "select 1 from orders where id = any($1) and status = 'confirmed'", placed
    )
    assert len(sold) == 1
    (row,) = await books.rows("promotions", "select uses_count from coupons where code = $1", code)
    assert row["uses_count"] == 1
