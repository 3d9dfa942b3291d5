"""The open loop: guests come at a rate of their own, whether or not the suite keeps up.

A closed loop waits with the suite: while it stalls nobody comes, and what those would have waited
is never counted (coordinated omission). Here each guest has a moment at which to check out, and
the time to confirmed counts from that moment, however late the request went out.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from suite.bench.buyers import Guest
from suite.bench.checkouts import measured
from suite.bench.figures import Sample, Series
from suite.bench.stocking import Shop

# A guest fills the cart this long before the checkout is due, in seconds.
LEAD = 1.0
# The suite no longer keeps up when the guests of so many seconds are under way at once.
LONGEST_QUEUE = 5.0
LEAST_UNDER_WAY = 20

Json = dict[str, Any]
Visit = Callable[[float], Awaitable[Sample]]


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """The moments of a Poisson process, in seconds from its beginning; a seed tells the same."""
    chance = random.Random(seed)  # noqa: S311
    moment = chance.expovariate(rate)
    while moment < seconds:
        yield moment
        moment += chance.expovariate(rate)


@dataclass
class Crowd:
    """Visits at a rate per second, each begun in time for the moment it is due.

    most: how many may be under way at once. When they are, the crowd stops coming: whoever had not
    begun by then was left behind.
    """

    rate: float
    seconds: float
    visit: Visit
    lead: float = LEAD
    most: int = 0
    begun: int = 0
    left_behind: int = 0
    under_way: int = 0
    most_under_way: int = 0
    series: Series = field(init=False)

    def __post_init__(self) -> None:
        wanted = round(self.rate * (self.lead + LONGEST_QUEUE))
        self.most = self.most or max(LEAST_UNDER_WAY, wanted)

    async def come(self) -> Series:
        """Let everybody come, and wait until the last has ended."""
        self.series = Series(time.perf_counter() + self.lead, self.seconds)
        moments = arrivals(self.rate, self.seconds, seed=round(self.rate * 1000))
        async with asyncio.TaskGroup() as visits:
            for moment in moments:
                due = self.series.began + moment
                await asyncio.sleep(max(0.0, due - self.lead - time.perf_counter()))
                if self.under_way >= self.most:
                    self.left_behind = 1 + sum(1 for _ in moments)
                    break
                self.begun += 1
                visits.create_task(self._go(due))
        return self.series

    async def _go(self, due: float) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.series.samples.append(await self.visit(due))
        finally:
            self.under_way -= 1

    @property
    def figures(self) -> Json:
        """What came of the rate that was asked for."""
        return {
            "rate_per_s": self.rate,
            "begun": self.begun,
            "left_behind": self.left_behind,
            "most_under_way": self.most_under_way,
        }


@dataclass
class Visitors:
    """Guests for a crowd; connections are kept for those who come later."""

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


def crowd_of(shop: Shop, rate: float, seconds: float, most: int = 0) -> Crowd:
    """Guests who each buy one product at random, so many a second."""
    visitors = Visitors(shop, random.Random(rate))  # noqa: S311
    return Crowd(rate, seconds, visitors.visit, most=most)


async def at_rate(shop: Shop, rate: float, seconds: float) -> Json:
    """Checkouts begun at a rate, from rest to rest: `left_behind` tells what it did not keep up."""
    crowd = crowd_of(shop, rate, seconds)
    figures = await measured(shop, crowd.come)
    return {**crowd.figures, **figures}
