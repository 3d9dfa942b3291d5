"""The open loop: guests arrive at a fixed rate, independent of the suite's speed.

A closed loop waits for the suite: during a stall no guest arrives, and their waits are not counted
(coordinated omission). Here each guest has a time to check out at, and the latency counts from that
time, however late the request was sent.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.buyers import Guest
from bench.checkouts import measured
from bench.figures import Sample, Series
from bench.stocking import Shop

# A guest fills the cart this long before the checkout is due, in seconds.
LEAD = 1.0
# The suite is too slow for the rate when this many seconds of guests are in flight at once.
LONGEST_QUEUE = 5.0
MIN_IN_FLIGHT = 20

Json = dict[str, Any]
Visit = Callable[[float], Awaitable[Sample]]


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """The times of a Poisson process, in seconds from its start; equal for an equal seed."""
    chance = random.Random(seed)  # noqa: S311
    moment = chance.expovariate(rate)
    while moment < seconds:
        yield moment
        moment += chance.expovariate(rate)


@dataclass
class OpenLoop:
    """Visits at a rate per second, each started `lead` seconds before it is due.

    most: the visits that may be in flight at once. At that number the loop ends, and counts the
    visits that it did not start as `left_behind`.
    """

    rate: float
    seconds: float
    visit: Visit
    lead: float = LEAD
    most: int = 0
    begun: int = 0
    left_behind: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    series: Series = field(init=False)

    def __post_init__(self) -> None:
        wanted = round(self.rate * (self.lead + LONGEST_QUEUE))
        self.most = self.most or max(MIN_IN_FLIGHT, wanted)

    async def run(self) -> Series:
        """Start every visit, and wait until the last has ended."""
        self.series = Series(time.perf_counter() + self.lead, self.seconds)
        moments = arrivals(self.rate, self.seconds, seed=round(self.rate * 1000))
        async with asyncio.TaskGroup() as visits:
            for moment in moments:
                due = self.series.began + moment
                await asyncio.sleep(max(0.0, due - self.lead - time.perf_counter()))
                if self.in_flight >= self.most:
                    self.left_behind = 1 + sum(1 for _ in moments)
                    break
                self.begun += 1
                visits.create_task(self._go(due))
        return self.series

    async def _go(self, due: float) -> None:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            self.series.samples.append(await self.visit(due))
        finally:
            self.in_flight -= 1

    @property
    def figures(self) -> Json:
        """The visits started at the requested rate."""
        return {
            "rate_per_s": self.rate,
            "begun": self.begun,
            "left_behind": self.left_behind,
            "most_in_flight": self.most_in_flight,
        }


@dataclass
class GuestPool:
    """Guests of an open loop; later guests reuse the connections."""

    shop: Shop
    chance: random.Random
    _idle: list[Guest] = field(default_factory=list)

    async def visit(self, due: float) -> Sample:
        """Fill a cart, wait until the checkout is due, and check out."""
        guest = self._idle.pop() if self._idle else Guest(self.shop)
        try:
            return await guest.buy(self.chance.choice(self.shop.products), due)
        finally:
            self._idle.append(guest)


def open_loop_of(shop: Shop, rate: float, seconds: float, most: int = 0) -> OpenLoop:
    """Guests who each buy a random product, `rate` per second."""
    guests = GuestPool(shop, random.Random(rate))  # noqa: S311
    return OpenLoop(rate, seconds, guests.visit, most=most)


async def at_rate(shop: Shop, rate: float, seconds: float) -> Json:
    """Measure checkouts started at a rate; `left_behind` counts those that were not started."""
    loop = open_loop_of(shop, rate, seconds)
    figures = await measured(shop, loop.run)
    return {**loop.figures, **figures}
