"""What a run did to the shop, in four numbers: lost, unexpected, duplicated, recovered."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from invariants import InvariantChecker
from load import Load

# By the beginning of a violation: what was promised and is not there, and what is there twice.
LOST = ("I3", "I5", "I8 unsent", "I8 dead")
DUPLICATED = ("I6",)


@dataclass
class Summary:
    """One run. `recovered` counts requests sent again, events received again and processes restarted.

    rest_after: seconds from the end of the last fault until all is at rest, where that is measured.
    """

    run: str
    seed: int
    orders: int = 0
    lost: int = 0
    unexpected: int = 0
    duplicated: int = 0
    recovered: int = 0
    seconds: float = 0.0
    injected: int = 0
    rest_after: float | None = None
    found: list[str] = field(default_factory=list)

    def count(self, violations: Sequence[str]) -> None:
        """Sort violations into the numbers."""
        self.found += violations
        for violation in violations:
            if violation.startswith(LOST):
                self.lost += 1
            elif violation.startswith(DUPLICATED):
                self.duplicated += 1
            else:
                self.unexpected += 1

    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return self.lost == self.unexpected == self.duplicated == 0

    def __str__(self) -> str:
        rest = "" if self.rest_after is None else f"; at rest after {self.rest_after:.1f} s"
        return (
            f"{self.run} (seed {self.seed}): {self.orders} orders, {self.injected} faults; "
            f"lost {self.lost}, unexpected {self.unexpected}, duplicated {self.duplicated}, "
            f"recovered {self.recovered}; {self.seconds:.0f} s{rest}"
        )


@dataclass
class Watch:
    """Counts from its creation to its summary.

    calm_since: when the last fault ended, on the monotonic clock, where the time to rest is measured.
    """

    books: InvariantChecker
    run: str
    seed: int
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    repeats: int = 0
    restarts: int = 0
    calm_since: float | None = None

    def __post_init__(self) -> None:
        self.repeats = self.books.recorder.repeats
        self.restarts = self._restarts()

    def _restarts(self) -> int:
        return sum(each.restarts for each in self.books.instance.status().values())

    async def summary(self, crowd: Load | None = None, *, injected: int, dead: int = 0) -> Summary:
        """Wait for rest, check everything, count, report."""
        await self.books.settle(300)
        rest_after = None if self.calm_since is None else time.monotonic() - self.calm_since
        found = await self.books.violations(dead_letters=dead)
        summary = Summary(self.run, self.seed, injected=injected, rest_after=rest_after)
        if crowd is not None:
            found += await missing(self.books, crowd)
            found += crowd.client.faults
            again = (0, 502, 503, 504)
            summary.recovered += sum(crowd.client.seen[status] for status in again)
        summary.count(found)
        summary.recovered += self.books.recorder.repeats - self.repeats
        summary.recovered += max(0, self._restarts() - self.restarts)
        placed = "select count(*) from orders where placed_at > $1"
        summary.orders = (await self.books.rows("orders", placed, self.began))[0][0]
        summary.seconds = (datetime.now(UTC) - self.began).total_seconds()
        report(summary)
        keep({"servers": await servers(self.books)})
        return summary


async def missing(books: InvariantChecker, crowd: Load) -> list[str]:
    """Orders that were promised and are not there, and carts ordered twice."""
    rows = await books.rows("orders", "select id, status, cart_id from orders")
    known = {str(row["id"]): row["status"] for row in rows}
    live = [str(row["cart_id"]) for row in rows if row["status"] != "cancelled"]
    twice = {cart for cart in live if live.count(cart) > 1}
    return [
        *(f"I3 order {order_id} is lost" for order_id in crowd.accepted if order_id not in known),
        *(f"I6 cart {cart} was ordered twice" for cart in twice),
    ]


async def servers(books: InvariantChecker) -> str:
    """The servers under attack, with their versions."""
    (row,) = await books.rows("orders", "show server_version")
    async with httpx.AsyncClient(base_url=books.instance.environment.broker.management_url) as api:
        overview = (await api.get("/api/overview")).json()
    return f"PostgreSQL {row[0].split()[0]}, RabbitMQ {overview['rabbitmq_version']}"


def report(summary: Summary) -> None:
    """Print it and keep it, with the minute (UTC) in which it was counted."""
    print(f"\n{summary}", flush=True)
    keep({**asdict(summary), "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M}"})


def keep(row: dict[str, Any]) -> None:
    """Add a row to the file that FAULTS_REPORT names, if there is one."""
    if name := os.environ.get("FAULTS_REPORT"):
        with Path(name).open("a") as file:
            file.write(json.dumps(row) + "\n")
