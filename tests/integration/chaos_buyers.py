"""Buyers who shop while parts of the suite die: they repeat as a good client does, and note what they see."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from shopfloor import ENDED, WAIT_LIMIT, Buyer, Product, Staff, key, ok
from suite.instance import Instance

UNAVAILABLE = (502, 503, 504)
PAUSE = 0.1


@dataclass
class Persistent:
    """An HTTP client that repeats what broke off or met an unavailable service, under the same key.

    wait_limit: seconds after which it gives up.
    seen: how often each status was answered; 0 is a broken connection.
    faults: responses that no client should get, in words.
    """

    http: httpx.AsyncClient
    wait_limit: float = WAIT_LIMIT
    seen: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    async def send(self, method: str, url: str, **request: Any) -> httpx.Response:
        """The first answer that is an answer."""
        async with asyncio.timeout(self.wait_limit):
            while True:
                try:
                    answer = await self.http.request(method, url, **request)
                except httpx.TransportError:
                    self.seen[0] += 1
                else:
                    self._note(answer)
                    if answer.status_code not in UNAVAILABLE and not still_running(answer):
                        return answer
                await asyncio.sleep(PAUSE)

    def _note(self, answer: httpx.Response) -> None:
        self.seen[answer.status_code] += 1
        if answer.status_code >= 500:
            request = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
            if answer.status_code not in UNAVAILABLE or "code" not in answer.json():
                self.faults.append(f"{request} {answer.text}")
            if answer.status_code == 503 and "retry-after" not in answer.headers:
                self.faults.append(f"{request} has no Retry-After")


def still_running(answer: httpx.Response) -> bool:
    """Whether an earlier sending of the same request is still being served."""
    return answer.status_code == 409 and answer.json()["code"] == "idempotency_key_running"


@dataclass
class ChaosBuyers:
    """Many buyers at once, and something that happens to the suite in the midst of it."""

    instance: Instance
    staff: Staff
    client: Persistent
    accepted: list[Buyer] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    async def rages(
        self, product: Product, buyers: int, strike: Callable[[], Awaitable[None]]
    ) -> list[Any]:
        """Let so many guests buy, strike once the first order is in, and return every saga's end."""
        shopping = [asyncio.create_task(self._shop(product)) for _ in range(buyers)]
        await asyncio.wait_for(self.first.wait(), WAIT_LIMIT)
        await strike()
        await asyncio.gather(*shopping)
        assert self.client.faults == []
        return await asyncio.gather(*(self._ended(order_id) for order_id in self.orders))

    async def kill(self, *names: str) -> None:
        """SIGKILL these processes at once and wait until everything is well again."""
        await asyncio.to_thread(self.instance.kill, *names)
        await asyncio.to_thread(self.instance.wait_ready)

    async def found(self) -> list[Any]:
        """Every accepted order, as its buyer reads it."""
        return [
            ok(await self.client.send("GET", f"/v1/orders/{order_id}", headers=buyer.headers))
            for order_id, buyer in zip(self.orders, self.accepted, strict=True)
        ]

    async def _shop(self, product: Product) -> None:
        """One guest with two orders, one after the other."""
        for _ in range(2):
            buyer = Buyer(self.client.http, self.staff)
            wanted = {"items": [{"variant_id": product.variant_id, "quantity": 1}]}
            answer = await self.client.send(
                "POST", "/v1/carts", json={**wanted, "email": buyer.email}
            )
            cart = ok(answer)
            buyer.cart_id, buyer.cart_token = cart["id"], cart["cart_token"]
            answer = await self.client.send(
                "POST", "/v1/orders", json=buyer.order(), headers={**buyer.headers, **key()}
            )
            order = ok(answer)
            buyer.order_token = order["order_token"]
            self.accepted.append(buyer)
            self.orders.append(order["id"])
            self.first.set()

    async def _ended(self, order_id: str) -> Any:
        """The saga once it has ended, requested with the same retries as everything else."""
        async with asyncio.timeout(WAIT_LIMIT):
            while True:
                answer = await self.client.send(
                    "GET", f"/v1/admin/sagas/{order_id}", headers=self.staff.headers
                )
                if ok(answer)["stage"] in ENDED:
                    return answer.json()
                await asyncio.sleep(PAUSE)
