"""Guests who buy: a cart, an item, and a checkout that waits for confirmation or refusal."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

from bench.client import Answer, Connection
from bench.figures import Sample, Series
from bench.stocking import Product, Shop
from suite.shop.sample import ADDRESS, PAYMENT

CONFIRMED = "confirmed"
LONGEST_WAIT = 20


class Guest:
    """A buyer without an account, on one connection, with a new e-mail address for every cart."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.connection = Connection(shop.target.url)
        self.cart_id = ""
        self.token: dict[str, str] = {}

    async def fill(self, product: Product) -> str:
        """Create a cart with one piece; returns the refusal's code, or an empty text."""
        email = f"{secrets.token_hex(6)}@example.com"
        made = await self.connection.request("POST", "/v1/carts", {"email": email})
        if not made.is_success:
            return made.problem
        cart = made.json()
        self.cart_id, self.token = cart["id"], {"X-Cart-Token": cart["cart_token"]}
        item = {"variant_id": product.variant_id, "quantity": 1}
        path = f"/v1/carts/{self.cart_id}/items"
        put = await self.connection.request("POST", path, item, self.token)
        return "" if put.is_success else put.problem

    async def check_out(self) -> Sample:
        """Order the cart and wait for the outcome; the time is that of this request alone."""
        body = {
            "cart_id": self.cart_id,
            "payment": PAYMENT,
            "shipping_address": ADDRESS,
            "shipping_method_id": self.shop.premises.shipping_method_id,
        }
        headers = {
            **self.token,
            "Idempotency-Key": secrets.token_hex(12),
            "Prefer": f"wait={LONGEST_WAIT}",
        }
        began = time.perf_counter()
        try:
            result = outcome(await self.connection.request("POST", "/v1/orders", body, headers))
        except OSError as fault:
            result = type(fault).__name__
        ended = time.perf_counter()
        return Sample(ended, (ended - began) * 1000, result)

    async def buy(self, product: Product, due: float | None = None) -> Sample:
        """Fill a cart and check out; a refused cart ends it.

        due: the time of the monotonic clock to check out at; the latency counts from then.
        """
        try:
            refusal = await self.fill(product)
        except OSError as fault:
            refusal = type(fault).__name__
        if refusal:
            return Sample(time.perf_counter(), 0.0, f"cart: {refusal}")
        if due is None:
            return await self.check_out()
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sample = await self.check_out()
        return Sample(sample.ended, (sample.ended - due) * 1000, sample.outcome)


def outcome(answer: Answer) -> str:
    """The outcome of a checkout: `confirmed`, the reason of its cancellation, or an error code."""
    if not answer.is_success:
        return answer.problem
    order = answer.json()
    status = str(order["status"])
    if status == "cancelled":
        return str(order["cancellation"]["reason"])
    return status


async def for_seconds(seconds: float, clients: Sequence[Callable[[], Awaitable[Sample]]]) -> Series:
    """Run every client repeatedly until the time is over; returns when the last has ended."""
    series = Series(time.perf_counter(), seconds)
    end = series.began + seconds

    async def loop(work: Callable[[], Awaitable[Sample]]) -> None:
        while time.perf_counter() < end:
            series.samples.append(await work())

    await asyncio.gather(*(loop(work) for work in clients))
    return series
