"""The order of the measures, and the results as one JSON document."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from suite import repository
from suite.bench import accounting, browsing, checkouts, machine
from suite.bench.floors import floors
from suite.bench.stocking import Shop
from suite.bench.target import Target
from suite.instance import Instance

PARTS = ("rest", "checkout", "one-variant", "oversell", "reading", "floors")
CONNECTIONS = (8, 32)
ONE_VARIANT_BUYERS = 32
RACE = {"buyers": 150, "stock": 50}
LONGEST_READING = 5.0
FLOOR_SECONDS = 3.0
REST_SECONDS = 5.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured: seconds of each series and of its warm-up, buyers, products, parts."""

    seconds: float = 10.0
    warm_up: float = 3.0
    buyers: tuple[int, ...] = (1, 8, 32)
    products: int = 1000
    parts: frozenset[str] = frozenset(PARTS)


def measure(target: Target, plan: Plan, report: Callable[[str], None]) -> Json:
    """Run everything in one event loop and return the results."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Bench(target, plan, report).run())


def write(results: Json, out: Path) -> None:
    """Write the results as JSON."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n")


@dataclass(frozen=True)
class Bench:
    """One run of all parts."""

    target: Target
    plan: Plan
    report: Callable[[str], None]

    async def run(self) -> Json:
        """Measure the parts in their order."""
        suite, plan = self.target.suite, self.plan
        results: Json = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": machine.commit(suite.root if suite else repository.ROOT),
            "machine": await machine.facts(suite),
            "plan": {"seconds": plan.seconds, "warm_up": plan.warm_up, "products": plan.products},
        }
        before = accounting.restarts(suite) if suite else 0
        shop = await self._shop()
        if suite and "rest" in plan.parts:
            results |= await self._at_rest(suite)
        if plan.parts & {"checkout", "one-variant"}:
            results["settling_orders"] = await checkouts.settle(shop)
            self.report(f"{results['settling_orders']} orders to settle in")
        if "checkout" in plan.parts:
            results["checkout"] = [await self._checkout(shop, buyers) for buyers in plan.buyers]
        if "one-variant" in plan.parts:
            self.report(f"{ONE_VARIANT_BUYERS} buyers on one variant")
            results["one_variant"] = await checkouts.of_one_variant(
                shop, ONE_VARIANT_BUYERS, plan.seconds, plan.warm_up
            )
        if "oversell" in plan.parts:
            self.report(f"{RACE['buyers']} buyers for {RACE['stock']} pieces")
            results["oversell"] = await checkouts.oversell(shop, **RACE)
        if "reading" in plan.parts:
            results["reading"] = await self._reading(shop)
        if "floors" in plan.parts:
            self.report("the floors: bare commits, publishes and routes")
            results["floors"] = await floors(self.target, min(FLOOR_SECONDS, plan.seconds))
        if suite:
            results["memory_mb_after_load"] = round(sum(accounting.memory(suite).values()))
            results["restarts"] = accounting.restarts(suite) - before
        return results

    async def _shop(self) -> Shop:
        began = time.perf_counter()
        shop = await Shop.open(self.target)
        await shop.stock(self.plan.products)
        await self.target.rest()
        took = time.perf_counter() - began
        self.report(f"{self.plan.products} products are on sale ({took:.1f} s)")
        return shop

    async def _at_rest(self, suite: Instance) -> Json:
        """Memory, and the processor time of a suite that has nothing to do."""
        before = accounting.usage(suite)
        await asyncio.sleep(REST_SECONDS)
        used = accounting.usage(suite).since(before)
        memory = accounting.memory(suite)
        self.report(f"at rest: {sum(memory.values()):.0f} MiB")
        return {
            "memory_mb": round(sum(memory.values())),
            "memory_mb_by_process": {name: round(mib, 1) for name, mib in memory.items()},
            "rest_cpu_ms_per_s": round(used.suite * 1000 / used.at, 1),
            "rest_cpu_ms_per_s_by_process": {
                name: round(seconds * 1000 / used.at, 1)
                for name, seconds in used.by_process.items()
            },
        }

    async def _checkout(self, shop: Shop, buyers: int) -> Json:
        figures = await checkouts.by_buyers(shop, buyers, self.plan.seconds, self.plan.warm_up)
        self.report(
            f"{buyers} buyers: {figures['orders_per_s']} orders/s,"
            f" p50 {figures['p50_ms']} ms, {figures['cpu_ms_per_order']} ms CPU per order"
        )
        return figures

    async def _reading(self, shop: Shop) -> Json:
        seconds = min(LONGEST_READING, self.plan.seconds)
        kinds = {"product_list": browsing.product_list, "product_by_id": browsing.product_by_id}
        results: Json = {}
        for name, kind in kinds.items():
            self.report(name.replace("_", " "))
            results[name] = [await kind(shop, number, seconds) for number in CONNECTIONS]
        return results
