"""A crowd that shops under a schedule of faults, and how long after the last fault all is at rest."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import psutil

from invariants import InvariantChecker
from load import PER_SECOND, Load, visits
from suite.instance import Instance
from summary import Watch
from test_crowd import VISITS, everything_holds

# The target is 20 s, and the page shows the seconds measured. What is asserted leaves room for a
# machine that is busy with other work; a message in the tier of five minutes exceeds it.
REST_WITHIN = 60.0
# Seconds that whatever was killed may take to start.
PATIENT = 240

Strike = Callable[[], Awaitable[int]]


async def strikes(
    strike: Strike,
    run: str,
    crowd: Load,
    books: InvariantChecker,
    seed: int,
    watch: Watch | None = None,
    *,
    lasts: float = 0.0,
) -> None:
    """Let the crowd shop, strike once the first order is in, and find everything in order.

    The visits are spread over the seconds that the strike lasts. The time to rest is counted from
    the end of the last fault, or from the last visit where that is later.
    """
    watch = watch or Watch(books, run, seed)
    planned = visits(seed, VISITS, min(PER_SECOND, VISITS / lasts) if lasts else PER_SECOND)
    last_visit = time.monotonic() + planned[-1].at
    shopping = asyncio.create_task(crowd.shop(planned))
    await asyncio.wait_for(crowd.first.wait(), 60)
    injected = await strike()
    watch.calm_since = max(time.monotonic(), last_visit)
    await shopping
    await asyncio.to_thread(books.instance.wait_ready, deadline=PATIENT)
    summary = await watch.summary(crowd, injected=injected)
    await everything_holds(crowd, summary)
    assert summary.rest_after is not None
    assert summary.rest_after < REST_WITHIN


@contextmanager
def suspended(processes: list[psutil.Process]) -> Iterator[None]:
    """Stop processes where they are; they go on afterwards as if nothing had been."""
    try:
        for each in processes:
            each.suspend()
        yield
    finally:
        for each in processes:
            each.resume()


def family(instance: Instance, name: str) -> list[psutil.Process]:
    """A process of the suite with all its children: the sessions of PostgreSQL are such."""
    parent = psutil.Process(instance.pids[name])
    return [parent, *parent.children(recursive=True)]
