"""The open loop, whose latencies count from the due time, and the soak's detection of growth."""

import asyncio
import itertools
import time

import pytest

from bench.figures import Sample
from bench.open_loop import OpenLoop, arrivals
from bench.soak import growth, memory_figures


def test_arrivals_have_their_rate_and_repeat_by_seed() -> None:
    moments = list(arrivals(40, 60, seed=7))
    assert moments == list(arrivals(40, 60, seed=7)) != list(arrivals(40, 60, seed=8))
    assert 2250 < len(moments) < 2550
    assert moments == sorted(moments)
    assert moments[-1] < 60
    gaps = {round(later - earlier, 9) for earlier, later in itertools.pairwise(moments)}
    assert len(gaps) > 2000


async def sample(due: float, outcome: str = "confirmed") -> Sample:
    ended = time.perf_counter()
    return Sample(ended, (ended - due) * 1000, outcome)


async def test_every_visit_of_a_fast_suite_starts() -> None:
    async def visit(due: float) -> Sample:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return await sample(due)

    loop = OpenLoop(rate=100, seconds=0.5, visit=visit, lead=0.05)
    series = await loop.run()
    assert loop.begun == len(series.samples) == len(list(arrivals(100, 0.5, seed=100_000)))
    assert loop.left_behind == 0
    assert loop.most_in_flight >= 1
    assert all(each.took_ms >= 0 for each in series.samples)


async def test_the_latencies_include_a_stall_for_every_visit_that_was_due() -> None:
    """A closed loop would count it once, because no other visit would have started."""
    stalled = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, stalled.set)

    async def visit(due: float) -> Sample:
        await stalled.wait()
        return await sample(due)

    loop = OpenLoop(rate=100, seconds=0.5, visit=visit, lead=0.0, most=1000)
    took = sorted(each.took_ms for each in (await loop.run()).samples)
    assert len(took) == loop.begun > 10
    assert took[len(took) // 2] > 100


async def test_a_stalled_suite_ends_the_loop() -> None:
    gate = asyncio.Event()

    async def visit(due: float) -> Sample:
        if loop.in_flight == loop.most:
            asyncio.get_running_loop().call_later(0.2, gate.set)
        await gate.wait()
        return await sample(due)

    loop = OpenLoop(rate=1000, seconds=1.0, visit=visit, lead=0.0, most=5)
    series = await loop.run()
    expected = len(list(arrivals(1000, 1.0, seed=1_000_000)))
    assert loop.begun == loop.most_in_flight == len(series.samples) == 5
    assert loop.left_behind == expected - 5 > 0
    assert loop.figures["left_behind"] == loop.left_behind


async def test_an_error_of_the_driver_is_raised() -> None:
    async def visit(_due: float) -> Sample:
        raise KeyError("a fault")

    with pytest.raises(ExceptionGroup):
        await OpenLoop(rate=100, seconds=0.1, visit=visit, lead=0.0).run()


def line(start: float, per_minute: float, minutes: int = 20) -> list[tuple[float, float]]:
    return [(step / 4, start + per_minute * step / 4) for step in range(minutes * 4)]


def test_a_leak_has_grown_with_its_slope() -> None:
    found = growth(line(100, 0.5))
    assert found["grew"]
    assert found["slope_mib_per_min"] == 0.5
    assert found["last_quarter_mib"] - found["first_quarter_mib"] == pytest.approx(7.5, abs=0.1)


def test_constant_or_falling_memory_has_not_grown() -> None:
    assert not growth(line(100, 0))["grew"]
    assert growth(line(100, 0))["slope_mib_per_min"] == 0
    assert not growth(line(100, -0.5))["grew"]
    one_peak = [(minute, 200.0 if minute == 18.0 else 100.0) for minute, _ in line(100, 0)]
    assert not growth(one_peak)["grew"]


def test_memory_that_rises_in_the_first_minutes_alone_has_not_grown() -> None:
    filling = [(minute, min(held, 110.0)) for minute, held in line(100, 2.5)]
    found = growth(filling)
    assert found["last_quarter_mib"] > found["first_quarter_mib"] + 3
    assert not found["grew"]


def test_growth_is_reported_per_process_and_for_their_sum() -> None:
    looks = [(minute, {"orders": held, "cart": 50.0}) for minute, held in line(100, 0.5)]
    found = memory_figures(looks)
    assert list(found) == ["orders", "cart", "all"]
    assert found["orders"]["grew"]
    assert not found["cart"]["grew"]
    assert found["all"]["first_quarter_mib"] == found["orders"]["first_quarter_mib"] + 50
