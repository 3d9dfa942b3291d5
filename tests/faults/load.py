"""A crowd drawn from a seed: who buys what and when, how they pay, who changes their mind."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from chaos_buyers import Persistent
from shopfloor import Buyer, Product, Staff, key, ok
from suite.environment import DEADLINES

SCARCE, PLENTIFUL = 3, 20
SCARCE_PIECES = 8
# Checkouts that outlast an outage, so that it is not cancellations that are counted.
STAGES = {"reserving": 180, "redeeming": 180, "collecting": 180}
LONG_STAGES = {"orders": {"DEADLINES": json.dumps({**DEADLINES, **STAGES})}}
PER_SECOND = 10.0
# How they pay, and how many of a hundred do.
PAYMENTS = {
    "tok_ok": 58,
    "tok_ok_mastercard": 5,
    "tok_declined": 8,
    "tok_insufficient_funds": 3,
    "tok_error_after_charge": 4,
    "tok_drop_after_charge": 4,
    "tok_webhook_only": 4,
    "tok_duplicate_webhooks": 4,
    "tok_late_webhook": 2,
    "tok_reversed_webhooks": 2,
    "tok_action": 2,
    "tok_late_capture": 2,
    "cod": 2,
}
# The answers that a buyer may get besides a placed order.
REFUSALS = {"insufficient_stock", "cart_locked", "cart_already_ordered", "cart_converted"}


@dataclass(frozen=True)
class Visit:
    """One buyer: when they come (seconds), what they take, how they pay, when they cancel."""

    at: float
    basket: tuple[tuple[int, int], ...]
    payment: str
    coupon: bool
    cancels_after: float | None


def visits(seed: int, count: int, per_second: float = PER_SECOND) -> list[Visit]:
    """The same visits for the same seed; products are numbered, the scarce ones first."""
    chance = random.Random(f"visits {seed}")
    drawn = []
    for number in range(count):
        products = chance.sample(range(SCARCE, SCARCE + PLENTIFUL), chance.choice((1, 1, 2)))
        if chance.random() < 0.35:
            products.append(chance.randrange(SCARCE))
        chance.shuffle(products)
        (payment,) = chance.choices(list(PAYMENTS), list(PAYMENTS.values()))
        cancels = chance.uniform(0, 3) if chance.random() < 0.12 else None
        basket = tuple((product, chance.choice((1, 1, 1, 2))) for product in products)
        drawn.append(
            Visit(number / per_second, basket, payment, chance.random() < 0.2, cancels),
        )
    return drawn


@dataclass
class Load:
    """Visits under way in one shop.

    accepted: buyers by the id of the order they were promised. refused: counts by code.
    """

    staff: Staff
    client: Persistent
    goods: list[Product]
    coupon: str
    accepted: dict[str, Buyer] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    async def shop(self, planned: list[Visit]) -> None:
        """Let them all come, each at their time."""
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._visit(visit, began) for visit in planned))

    async def _visit(self, visit: Visit, began: float) -> None:
        await asyncio.sleep(max(0.0, began + visit.at - asyncio.get_running_loop().time()))
        buyer = Buyer(self.client.http, self.staff)
        if not await self._fill(buyer, visit):
            return
        answer = await self.client.send(
            "POST", "/v1/orders", json=self._order(buyer, visit), headers={**buyer.headers, **key()}
        )
        if not answer.is_success:
            self._refuse(answer)
            return
        order = answer.json()
        buyer.order_token = order["order_token"]
        self.accepted[order["id"]] = buyer
        self.first.set()
        if visit.cancels_after is not None:
            await asyncio.sleep(visit.cancels_after)
            await self._cancel(buyer, order["id"])

    async def _fill(self, buyer: Buyer, visit: Visit) -> bool:
        items = [
            {"variant_id": self.goods[number].variant_id, "quantity": quantity}
            for number, quantity in visit.basket
        ]
        answer = await self.client.send(
            "POST", "/v1/carts", json={"items": items, "email": buyer.email}
        )
        if not answer.is_success:
            self._refuse(answer)
            return False
        buyer.cart_id, buyer.cart_token = answer.json()["id"], answer.json()["cart_token"]
        return True

    def _order(self, buyer: Buyer, visit: Visit) -> dict[str, Any]:
        payment = {"method": "card", "token": visit.payment}
        if visit.payment == "cod":
            payment = {"method": "cod"}
        more = {"coupon_code": self.coupon} if visit.coupon else {}
        return buyer.order(payment=payment, **more)

    async def _cancel(self, buyer: Buyer, order_id: str) -> None:
        url = f"/v1/orders/{order_id}/cancellation"
        answer = await self.client.send("POST", url, json={}, headers={**buyer.headers, **key()})
        if answer.status_code not in (200, 202, 409):
            self.client.faults.append(f"cancelling: {answer.status_code} {answer.text}")

    def _refuse(self, answer: httpx.Response) -> None:
        code = str(answer.json()["code"])
        self.refused[code] += 1
        if code not in REFUSALS:
            self.client.faults.append(f"refused: {answer.status_code} {answer.text}")


async def gather_load(staff: Staff, client: Persistent, *, scarce: int) -> Load:
    """Fill the shelves, with so many pieces of each scarce product, and print the coupon."""
    stocks = [scarce] * SCARCE + [2000] * PLENTIFUL
    goods = await asyncio.gather(*(staff.sell(stock) for stock in stocks))
    return Load(staff, client, list(goods), await staff.coupon())


async def read_all(crowd: Load) -> list[Any]:
    """Every accepted order as its own buyer reads it."""
    return [
        ok(await crowd.client.send("GET", f"/v1/orders/{order_id}", headers=buyer.headers))
        for order_id, buyer in crowd.accepted.items()
    ]
