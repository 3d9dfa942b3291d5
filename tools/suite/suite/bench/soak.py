"""Memory over time: minutes of checkouts at a modest rate, and what each process holds."""

import asyncio
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from suite.bench import accounting
from suite.bench.checkouts import checkout_figures
from suite.bench.open_loop import crowd_of
from suite.bench.stocking import Shop
from suite.instance import Instance

SAMPLED_EVERY = 15.0
TOLD_EVERY = 4
# Memory is watched through a minute's stall of the machine too.
LONGEST_QUEUE = 60.0
# What allocators and caches move by while nothing leaks.
SLACK_MIB = 3.0
SLACK_SHARE = 0.03

Json = dict[str, Any]
# The minute of a look, and the PSS in MiB by process.
Look = tuple[float, dict[str, float]]


async def soak(
    shop: Shop, suite: Instance, minutes: float, rate: float, report: Callable[[str], None]
) -> Json:
    """Play so many checkouts a second for so long; memory by process, and whether it grew."""
    crowd = crowd_of(shop, rate, minutes * 60, most=math.ceil(rate * LONGEST_QUEUE))
    looks: list[Look] = []
    looking = asyncio.create_task(_look_on(suite, minutes, looks, report))
    try:
        series = await crowd.come()
        await shop.target.rest()
    finally:
        looking.cancel()
    looks.append((round(minutes, 2), accounting.memory(suite)))
    return {
        "minutes": minutes,
        **crowd.figures,
        **checkout_figures(series),
        "memory": memory_figures(looks),
        "looks": [
            {"minute": minute, "mib": {name: round(mib, 1) for name, mib in held.items()}}
            for minute, held in looks
        ],
    }


async def _look_on(
    suite: Instance, minutes: float, looks: list[Look], report: Callable[[str], None]
) -> None:
    began = time.perf_counter()
    while True:
        minute = (time.perf_counter() - began) / 60
        # Reading the pages of a hundred processes takes long enough to hold the buyers up.
        held = await asyncio.to_thread(accounting.memory, suite)
        looks.append((round(minute, 2), held))
        if len(looks) % TOLD_EVERY == 1:
            report(f"minute {minute:.0f} of {minutes:g}: {sum(held.values()):.0f} MiB")
        await asyncio.sleep(SAMPLED_EVERY - (time.perf_counter() - began) % SAMPLED_EVERY)


def memory_figures(looks: Sequence[Look]) -> dict[str, Json]:
    """For each process, largest first, the growth over all looks; `all` is their sum."""
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

    points: at least one, each a minute and what was held then, in MiB.

    `grew` is whether the last quarter holds more than the first and the second, beyond what
    allocators move by: pools, plans and caches fill in the first.
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
