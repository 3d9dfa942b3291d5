"""Checkouts under load: orders per second, latency to confirmation, and the cost of one order."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from bench import accounting
from bench.accounting import Usage
from bench.buyers import CONFIRMED, Guest, for_seconds
from bench.calibration import Calibration
from bench.figures import Sample, Series, per_order
from bench.stocking import Product, Shop

# The codes by which a refusal names the lack of stock; any other code is an error.
STOCK_CODES = frozenset(
    {"out_of_stock", "insufficient_stock", "line_unavailable", "variant_unavailable"}
)

WARM_UP_BUYERS = 16
WARM_UP_ORDERS = 300
WARM_UP_SECONDS = 45.0

Client = Callable[[], Awaitable[Sample]]
Json = dict[str, Any]


async def warm_up_suite(shop: Shop) -> int:
    """Buy until every service has opened its connections and PostgreSQL has cached its plans.

    A new connection reads types and plans each statement five times before it caches a plan: a
    cost of the start, not of an order. Returns the orders bought.
    """
    clients = _clients(shop, WARM_UP_BUYERS, lambda: shop.products[0])
    bought, end = 0, time.perf_counter() + WARM_UP_SECONDS
    while bought < WARM_UP_ORDERS and time.perf_counter() < end:
        bought += (await for_seconds(1.0, clients)).count(CONFIRMED)
    return bought


async def by_buyers(shop: Shop, buyers: int, seconds: float, warm_up: float) -> Json:
    """Concurrent guests, each repeatedly buying a random product."""
    choice = random.Random(buyers)  # noqa: S311
    clients = _clients(shop, buyers, lambda: choice.choice(shop.products))
    await for_seconds(warm_up, clients)
    return {"buyers": buyers, **await measured(shop, lambda: for_seconds(seconds, clients))}


async def of_one_variant(shop: Shop, buyers: int, seconds: float, warm_up: float) -> Json:
    """All guests buy one variant with ample stock; the reserved pieces must equal the sold ones."""
    (product,) = await shop.stock(1)
    clients = _clients(shop, buyers, lambda: product)
    await for_seconds(warm_up, clients)
    await shop.target.rest()
    before = (await shop.level(product))["reserved"]
    figures = await measured(shop, lambda: for_seconds(seconds, clients))
    reserved = (await shop.level(product))["reserved"] - before
    return {
        "buyers": buyers,
        "reserved": reserved,
        "oversold": max(0, figures["orders"] - reserved),
        **figures,
    }


async def oversell(shop: Shop, buyers: int, stock: int) -> Json:
    """More buyers than pieces, all checking out at once: each piece must be sold exactly once."""
    (product,) = await shop.stock(1, stock)
    guests = [Guest(shop) for _ in range(buyers)]
    refusals = await asyncio.gather(*(guest.fill(product) for guest in guests))
    ready = [guest for guest, refusal in zip(guests, refusals, strict=True) if not refusal]
    began = time.perf_counter()
    samples = await asyncio.gather(*(guest.check_out() for guest in ready))
    took = time.perf_counter() - began
    await shop.target.rest()
    level = await shop.level(product)
    outcomes = Counter([refusal for refusal in refusals if refusal])
    outcomes += Counter(sample.outcome for sample in samples)
    return {
        "stock": stock,
        "buyers": buyers,
        **race_figures(outcomes, stock, level["on_hand"], level["reserved"]),
        "seconds": round(took, 2),
    }


def race_figures(outcomes: Counter[str], stock: int, on_hand: int, reserved: int) -> Json:
    """Group the outcomes of a race; `oversold` counts confirmations or holds beyond the stock."""
    sold = outcomes[CONFIRMED]
    refused = {code: count for code, count in outcomes.items() if code in STOCK_CODES}
    errors = {
        code: count
        for code, count in outcomes.items()
        if code not in STOCK_CODES and code != CONFIRMED
    }
    return {
        "sold": sold,
        "refused": sum(refused.values()),
        "errors": sum(errors.values()),
        "oversold": max(0, sold - stock, reserved - on_hand),
        "reserved": reserved,
        "refusals": refused,
        "error_codes": errors,
    }


def _clients(shop: Shop, buyers: int, choose: Callable[[], Product]) -> list[Client]:
    def buying(guest: Guest) -> Client:
        return lambda: guest.buy(choose())

    return [buying(Guest(shop)) for _ in range(buyers)]


async def measured(shop: Shop, run: Callable[[], Awaitable[Series]]) -> Json:
    """Measure one series until every saga has ended, so that the figures include its tail."""
    await shop.target.rest()
    before = accounting.usage(shop.target.suite) if shop.target.suite else None
    async with Calibration() as calibration:
        series = await run()
    await shop.target.rest()
    after = accounting.usage(shop.target.suite) if shop.target.suite else None
    used = after.since(before) if after and before else None
    costs = cost_figures(series.count(CONFIRMED), used)
    return {**checkout_figures(series), **costs, "calibration_ms": calibration.median_ms}


def checkout_figures(series: Series) -> Json:
    """Rate, latencies and outcomes of a series of checkouts."""
    errors = series.others(CONFIRMED)
    return {
        "orders_per_s": round(series.rate(CONFIRMED), 2),
        **series.percentiles(CONFIRMED, 50, 95, 99),
        "orders": series.count(CONFIRMED),
        "errors": sum(errors.values()),
        "error_codes": errors,
    }


def cost_figures(orders: int, used: Usage | None) -> Json:
    """Processor milliseconds per order; None when the suite runs on another machine."""
    if used is None:
        return {"cpu_ms_per_order": None}
    return {
        "cpu_ms_per_order": per_order(used.suite, orders),
        "cpu_ms_by_process": {
            name: per_order(seconds, orders)
            for name, seconds in sorted(used.by_process.items(), key=lambda item: -item[1])
        },
        "driver_cpu_ms_per_order": per_order(used.driver, orders),
        "other_cpu_share": used.share_of_others,
        "seconds_to_rest": round(used.at, 2),
    }
