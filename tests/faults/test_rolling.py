"""A rolling restart of every service, and a reload of the gateway, under load: no request fails."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from fleet import Fleet
from invariants import InvariantChecker
from shopfloor import Buyer, Product, Staff, key, until
from suite.instance import Instance

pytestmark = pytest.mark.full

LONGEST_DRAIN = 20.0
BUYERS, READERS = 2, 2
NEW_ORIGIN = "https://another-shop.example"


@dataclass
class Load:
    """Customers who never repeat a request: whatever they are not given is a failure."""

    http: httpx.AsyncClient
    staff: Staff
    product: Product
    failures: list[str] = field(default_factory=list)
    answered: int = 0
    orders: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, method: str, url: str, **request: object) -> httpx.Response | None:
        """One request, once."""
        try:
            answer = await self.http.request(method, url, **request)  # type: ignore[arg-type]
        except httpx.TransportError as error:
            self.failures.append(f"{method} {url}: {error!r}")
            return None
        if not answer.is_success:
            self.failures.append(f"{method} {url}: {answer.status_code} {answer.text}")
            return None
        self.answered += 1
        return answer

    async def buys(self) -> None:
        """Buy again and again."""
        while not self.over.is_set():
            buyer = Buyer(self.http, self.staff)
            wanted = {"variant_id": self.product.variant_id, "quantity": 1}
            cart = await self.send(
                "POST", "/v1/carts", json={"items": [wanted], "email": buyer.email}
            )
            if cart is None:
                continue
            buyer.cart_id, buyer.cart_token = cart.json()["id"], cart.json()["cart_token"]
            order = await self.send(
                "POST", "/v1/orders", json=buyer.order(), headers={**buyer.headers, **key()}
            )
            if order is None:
                continue
            self.orders.append(order.json()["id"])
            buyer.order_token = order.json()["order_token"]
            await self.send("GET", f"/v1/orders/{self.orders[-1]}", headers=buyer.headers)

    async def reads(self) -> None:
        """Look at what every service shows."""
        pages = [
            "/v1/products", "/v1/admin/coupons", "/v1/admin/warehouses", "/v1/admin/sagas",
            "/v1/admin/payments", "/v1/admin/shipments", "/v1/admin/emails", "/v1/me",
            "/v1/admin/tax-rates",
        ]  # fmt: skip
        while not self.over.is_set():
            for page in pages:
                await self.send("GET", page, headers=self.staff.headers)


@pytest_asyncio.fixture
async def fleet(instance: Instance, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Every service twice."""
    made = Fleet(instance, tmp_path)
    try:
        await made.up()
        yield made
    finally:
        await made.down()


async def test_no_client_sees_a_rolling_restart(
    fleet: Fleet, staff: Staff, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=100_000)
    async with httpx.AsyncClient(base_url=fleet.url, timeout=40) as http:
        load = Load(http, staff, product)
        customers = [load.buys for _ in range(BUYERS)] + [load.reads for _ in range(READERS)]
        shopping = [asyncio.create_task(each()) for each in customers]
        await more_answers(load)

        await fleet.roll(0)
        await asyncio.to_thread(fleet.render, cors_origins=[NEW_ORIGIN])
        await until(lambda: is_taken_over(http))
        await more_answers(load)
        await fleet.roll(1)
        await more_answers(load)

        assert load.failures == []
        assert load.orders
        drains = [drain for each in fleet.everyone for drain in each.drains]
        assert len(drains) == len(fleet.everyone)
        assert max(drains) <= LONGEST_DRAIN

        # What counts failures does see them: a service whose replicas are both gone.
        for each in fleet.replicas["catalog"]:
            each.kill()
        await until(lambda: seen(load))
        load.over.set()
        await asyncio.gather(*shopping)
    assert all("/v1/products" in failure or "/v1/carts" in failure for failure in load.failures)


async def more_answers(load: Load) -> None:
    """Wait until the load has seen some more of the shop."""
    before = load.answered

    async def record_arrival() -> bool:
        return load.answered >= before + 40 or bool(load.failures)

    await until(record_arrival)


async def is_taken_over(http: httpx.AsyncClient) -> bool:
    """Whether the gateway lets pages of the new origin call."""
    preflight = {"Origin": NEW_ORIGIN, "Access-Control-Request-Method": "GET"}
    answer = await http.options("/v1/products", headers=preflight)
    return answer.headers.get("access-control-allow-origin") == NEW_ORIGIN


async def seen(load: Load) -> bool:
    return bool(load.failures)
