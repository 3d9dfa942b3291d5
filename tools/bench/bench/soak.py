"""Memory over time: minutes of checkouts at a modest rate, and the memory of each process."""

import asyncio
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench import accounting
from bench.checkouts import checkout_figures
from bench.open_loop import open_loop_of
from bench.stocking import Shop
from suite.instance import Instance

SAMPLE_INTERVAL = 15.0
SAMPLES_PER_REPORT = 4
# The soak continues through a stall of a minute.
LONGEST_QUEUE = 60.0
# The variation of allocators and caches without a leak.
SLACK_MIB = 3.0
SLACK_SHARE = 0.03

Json = dict[str, Any]
# The minute of a sample, and the PSS in MiB by process.
MemorySample = tuple[float, dict[str, float]]


async def soak(
    shop: Shop, suite: Instance, minutes: float, rate: float, report: Callable[[str], None]
) -> Json:
    """Run checkouts at a rate for some minutes; returns memory by process, and whether it grew."""
    loop = open_loop_of(shop, rate, minutes * 60, most=math.ceil(rate * LONGEST_QUEUE))
    looks: list[MemorySample] = []
    sampling = asyncio.create_task(_sample(suite, minutes, looks, report))
    try:
        series = await loop.run()
        await shop.target.rest()
    finally:
        sampling.cancel()
    looks.append((round(minutes, 2), accounting.memory(suite)))
    return {
        "minutes": minutes,
        **loop.figures,
        **checkout_figures(series),
        "memory": memory_figures(looks),
        "looks": [
            {"minute": minute, "mib": {name: round(mib, 1) for name, mib in held.items()}}
            for minute, held in looks
        ],
    }


async def _sample(
    suite: Instance, minutes: float, looks: list[MemorySample], report: Callable[[str], None]
) -> None:
    began = time.perf_counter()
    while True:
        minute = (time.perf_counter() - began) / 60
        # Reading the memory of a hundred processes would block the event loop noticeably.
        held = await asyncio.to_thread(accounting.memory, suite)
        looks.append((round(minute, 2), held))
        if len(looks) % SAMPLES_PER_REPORT == 1:
            report(f"minute {minute:.0f} of {minutes:g}: {sum(held.values()):.0f} MiB")
        await asyncio.sleep(SAMPLE_INTERVAL - (time.perf_counter() - began) % SAMPLE_INTERVAL)


def memory_figures(looks: Sequence[MemorySample]) -> dict[str, Json]:
    """The growth of each process, largest first, over all samples; `all` is their sum."""
    names = sorted(looks[-1][1], key=lambda name: -looks[-1][1][name])
    figures = {
        name: growth([(minute, held.get(name, 0.0)) for minute, held in looks]) for name in names
    }
    return {
        **figures,
        "all": growth([(minute, sum(held.values())) for minute, held in looks]),
    }


def growth(points: Sequence[tuple[float, float]]) -> Json:
    """The medians of the first and the last quarter in MiB, and the slope in MiB per minute.

    points: at least one, each a minute and the MiB at that time.

    `grew` is whether the last quarter exceeds the first and the second by more than the variation
    of allocators: pools, plans and caches fill in the first.
    """
    values = [value for _, value in points]
    quarter = max(1, len(values) // 4)
    first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
    warm = statistics.median(values[quarter : 2 * quarter] or values)
    slope = 0.0
    if points[-1][0] > points[0][0]:
        slope = statistics.linear_regression([minute for minute, _ in points], values).slope
    return {
        "first_quarter_mib": round(first, 1),
        "last_quarter_mib": round(last, 1),
        "slope_mib_per_min": round(slope, 3),
        "grew": last > max(first, warm) + max(SLACK_MIB, first * SLACK_SHARE),
    }
