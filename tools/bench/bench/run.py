"""The order of the measures, and the results as one JSON document."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench import accounting, browsing, checkouts, machine, open_loop
from bench.floors import floors
from bench.messages.measures import message_path
from bench.soak import soak
from bench.stocking import Shop
from bench.target import Target
from suite import repository

PARTS = (
    "rest", "checkout", "one-variant", "open-loop", "oversell", "reading", "messages", "floors",
)  # fmt: skip
SOAK = "soak"
# Parts that buy are measured after a warm-up; some parts need no products.
BUYING = frozenset({"checkout", "one-variant", "open-loop", SOAK})
WITHOUT_PRODUCTS = frozenset({"messages", "floors"})
CONNECTIONS = (8, 32)
ONE_VARIANT_BUYERS = 32
RACE = {"buyers": 150, "stock": 50}
LONGEST_READING = 5.0
FLOOR_SECONDS = 3.0
REST_SECONDS = 5.0

Json = dict[str, Any]
Part = Callable[[Shop], Awaitable[Json]]


@dataclass(frozen=True)
class Plan:
    """The parts to measure; seconds of each series and its warm-up; buyers; products.

    rates: checkouts a second of the open loop. soak: its minutes, at `soak_rate` checkouts a
    second.
    """

    seconds: float = 10.0
    warm_up: float = 3.0
    buyers: tuple[int, ...] = (1, 8, 32)
    products: int = 1000
    parts: frozenset[str] = frozenset(PARTS)
    rates: tuple[float, ...] = (10.0, 40.0)
    soak: float = 0.0
    soak_rate: float = 5.0


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
        for wanted, part in self._parts():
            if plan.parts & wanted:
                results |= await part(shop)
        if suite:
            results["memory_mb_after_load"] = round(sum(accounting.memory(suite).values()))
            results["restarts"] = accounting.restarts(suite) - before
        return results

    def _parts(self) -> list[tuple[frozenset[str], Part]]:
        """Every part with the names that ask for it, in their order."""
        return [
            (frozenset({"rest"}), self._at_rest),
            (BUYING, self._warm_up),
            (frozenset({"checkout"}), self._checkouts),
            (frozenset({"one-variant"}), self._one_variant),
            (frozenset({"open-loop"}), self._open_loop),
            (frozenset({SOAK}), self._soak),
            (frozenset({"oversell"}), self._oversell),
            (frozenset({"reading"}), self._reading),
            (frozenset({"messages"}), self._messages),
            (frozenset({"floors"}), self._floors),
        ]

    async def _shop(self) -> Shop:
        began = time.perf_counter()
        shop = await Shop.open(self.target)
        if self.plan.parts <= WITHOUT_PRODUCTS:
            return shop
        await shop.stock(self.plan.products)
        await self.target.rest()
        took = time.perf_counter() - began
        self.report(f"{self.plan.products} products are on sale ({took:.1f} s)")
        return shop

    async def _at_rest(self, _shop: Shop) -> Json:
        """Memory, and the processor time of a suite that has nothing to do."""
        suite = self.target.suite
        if suite is None:
            return {}
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

    async def _warm_up(self, shop: Shop) -> Json:
        orders = await checkouts.warm_up_suite(shop)
        self.report(f"{orders} orders to warm up")
        return {"warm_up_orders": orders}

    async def _checkouts(self, shop: Shop) -> Json:
        return {"checkout": [await self._checkout(shop, buyers) for buyers in self.plan.buyers]}

    async def _checkout(self, shop: Shop, buyers: int) -> Json:
        figures = await checkouts.by_buyers(shop, buyers, self.plan.seconds, self.plan.warm_up)
        self.report(
            f"{buyers} buyers: {figures['orders_per_s']} orders/s,"
            f" p50 {figures['p50_ms']} ms, {figures['cpu_ms_per_order']} ms CPU per order"
        )
        return figures

    async def _one_variant(self, shop: Shop) -> Json:
        self.report(f"{ONE_VARIANT_BUYERS} buyers on one variant")
        figures = await checkouts.of_one_variant(
            shop, ONE_VARIANT_BUYERS, self.plan.seconds, self.plan.warm_up
        )
        return {"one_variant": figures}

    async def _open_loop(self, shop: Shop) -> Json:
        found = []
        for rate in self.plan.rates:
            figures = await open_loop.at_rate(shop, rate, self.plan.seconds)
            found.append(figures)
            behind = f", {figures['left_behind']} left behind" if figures["left_behind"] else ""
            self.report(
                f"{rate:g} checkouts/s, open loop: p50 {figures['p50_ms']} ms,"
                f" p99 {figures['p99_ms']} ms{behind}"
            )
        return {"open_loop": found}

    async def _soak(self, shop: Shop) -> Json:
        suite, plan = self.target.suite, self.plan
        if suite is None:
            return {}
        self.report(f"{plan.soak_rate:g} checkouts/s for {plan.soak:g} minutes")
        return {"soak": await soak(shop, suite, plan.soak, plan.soak_rate, self.report)}

    async def _oversell(self, shop: Shop) -> Json:
        self.report(f"{RACE['buyers']} buyers for {RACE['stock']} pieces")
        return {"oversell": await checkouts.oversell(shop, **RACE)}

    async def _reading(self, shop: Shop) -> Json:
        seconds = min(LONGEST_READING, self.plan.seconds)
        kinds = {"product_list": browsing.product_list, "product_by_id": browsing.product_by_id}
        results: Json = {}
        for name, kind in kinds.items():
            self.report(name.replace("_", " "))
            results[name] = [await kind(shop, number, seconds) for number in CONNECTIONS]
        return {"reading": results}

    async def _messages(self, _shop: Shop) -> Json:
        suite = self.target.suite
        return {} if suite is None else {"messages": await message_path(suite, self.report)}

    async def _floors(self, _shop: Shop) -> Json:
        self.report("the floors: bare commits, publishes and routes")
        return {"floors": await floors(self.target, min(FLOOR_SECONDS, self.plan.seconds))}
