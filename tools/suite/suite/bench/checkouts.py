"""The checkout under load: orders per second, the time to confirmed, and what one order costs."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from suite.bench import accounting
from suite.bench.accounting import Usage
from suite.bench.buyers import CONFIRMED, Guest, for_seconds
from suite.bench.calibration import Calibration
from suite.bench.figures import Sample, Series, per_order
from suite.bench.stocking import Product, Shop

# What a refusal for want of stock may say; anything else leaves a buyer in the dark.
CLEAN = frozenset({"out_of_stock", "insufficient_stock", "line_unavailable", "variant_unavailable"})

SETTLING_BUYERS = 16
SETTLING_ORDERS = 300
SETTLING_SECONDS = 45.0

Client = Callable[[], Awaitable[Sample]]
Json = dict[str, Any]


async def settle(shop: Shop) -> int:
    """Buy until every service has opened its connections and PostgreSQL has made its plans.

    A new connection reads types and plans each statement five times before it keeps a plan: what
    a suite pays once for its whole life is not what an order costs. Returns the orders bought.
    """
    clients = _clients(shop, SETTLING_BUYERS, lambda: shop.products[0])
    bought, end = 0, time.perf_counter() + SETTLING_SECONDS
    while bought < SETTLING_ORDERS and time.perf_counter() < end:
        bought += (await for_seconds(1.0, clients)).count(CONFIRMED)
    return bought


async def by_buyers(shop: Shop, buyers: int, seconds: float, warm_up: float) -> Json:
    """So many guests, each buying one product at random, again and again."""
    choice = random.Random(buyers)  # noqa: S311
    clients = _clients(shop, buyers, lambda: choice.choice(shop.products))
    await for_seconds(warm_up, clients)
    return {"buyers": buyers, **await measured(shop, lambda: for_seconds(seconds, clients))}


async def of_one_variant(shop: Shop, buyers: int, seconds: float, warm_up: float) -> Json:
    """All guests buying one variant, of which there is plenty; what was sold must be reserved."""
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
    """More buyers than pieces, all checking out at once: every piece is sold, and none twice."""
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
    """Sort the outcomes of a race; `oversold` is what answers or inventory promise too much."""
    sold = outcomes[CONFIRMED]
    refused = {code: count for code, count in outcomes.items() if code in CLEAN}
    errors = {
        code: count for code, count in outcomes.items() if code not in CLEAN and code != CONFIRMED
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


async def measured(shop: Shop, play: Callable[[], Awaitable[Series]]) -> Json:
    """One series from rest to rest: the tail of the last saga is inside the figures."""
    await shop.target.rest()
    before = accounting.usage(shop.target.suite) if shop.target.suite else None
    async with Calibration() as yardstick:
        series = await play()
    await shop.target.rest()
    after = accounting.usage(shop.target.suite) if shop.target.suite else None
    used = after.since(before) if after and before else None
    costs = cost_figures(series.count(CONFIRMED), used)
    return {**checkout_figures(series), **costs, "yardstick_ms": yardstick.median_ms}


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
    """Processor milliseconds per order; None where the suite's processes are out of sight."""
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
