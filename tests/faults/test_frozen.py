"""Processes that are frozen during checkouts: no request waits longer than the limit."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from chaos_buyers import Persistent
from invariants import InvariantChecker
from shopfloor import Buyer, Staff, key, ok
from suite.instance import Instance

BUYERS = 20
# A token, a key set and the call itself, each with its limit; far below the gateway's own.
LONGEST = 15.0
PEERS = ("identity", "cart", "promotions", "shipping", "inventory", "payments")


@asynccontextmanager
async def frozen(instance: Instance, name: str) -> AsyncIterator[None]:
    """Stop a process where it is; it goes on afterwards as if nothing had been."""
    pid = instance.pids[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def timed(answer: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return await answer, time.monotonic() - began


async def buyers_at_the_till(staff: Staff, http: httpx.AsyncClient) -> list[Buyer]:
    """Buyers with full carts, every other one signed in."""
    product = await staff.sell(stock=10 * BUYERS)
    buyers = [Buyer(http, staff) for _ in range(BUYERS)]
    for buyer in buyers[::2]:
        await buyer.sign_up()
    for buyer in buyers:
        await buyer.fill((product, 1))
    return buyers


@pytest.mark.full
@pytest.mark.parametrize(
    ("peer", "is_cold"), [("identity", True), *((peer, False) for peer in PEERS)]
)
async def test_a_frozen_peer_delays_no_checkout(
    peer: str,
    *,
    is_cold: bool,
    instance: Instance,
    staff: Staff,
    client: Persistent,
    books: InvariantChecker,
) -> None:
    buyers = await buyers_at_the_till(staff, client.http)
    keys = [key() for _ in buyers]
    if is_cold:
        await asyncio.to_thread(instance.restart, "orders")

    def request_of(number: int) -> dict[str, Any]:
        buyer = buyers[number]
        return {"json": buyer.order(), "headers": {**buyer.headers, **keys[number]}}

    async with frozen(instance, peer):
        for _ in range(3):
            sent = (client.http.post("/v1/orders", **request_of(n)) for n in range(BUYERS))
            for answer, seconds in await asyncio.gather(*map(timed, sent)):
                assert answer.status_code in (200, 202, 409, 503), answer.text
                assert answer.status_code != 503 or answer.headers["retry-after"]
                assert seconds < LONGEST
    for number, buyer in enumerate(buyers):
        order = ok(await client.send("POST", "/v1/orders", **request_of(number)))
        buyer.order_token = order.get("order_token") or ""
        await staff.ended(order["id"])
        assert (await buyer.read(order["id"]))["status"] in ("confirmed", "cancelled")
    assert client.faults == []
    await books.settle(120)
