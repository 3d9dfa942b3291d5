"""The open loop and the soak: whoever comes is counted from when they were due, and growth shows."""

import asyncio
import itertools
import time

import pytest

from suite.bench.figures import Sample
from suite.bench.open_loop import Crowd, arrivals
from suite.bench.soak import growth, memory_figures


def test_arrivals_come_at_their_rate_and_again_the_same() -> None:
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


async def test_everybody_comes_whom_the_suite_keeps_up_with() -> None:
    async def visit(due: float) -> Sample:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return await sample(due)

    crowd = Crowd(rate=100, seconds=0.5, visit=visit, lead=0.05)
    series = await crowd.come()
    assert crowd.begun == len(series.samples) == len(list(arrivals(100, 0.5, seed=100_000)))
    assert crowd.left_behind == 0
    assert crowd.most_under_way >= 1
    assert all(each.took_ms >= 0 for each in series.samples)


async def test_a_stall_is_in_the_latencies_of_those_who_came_meanwhile() -> None:
    """A closed loop would have met it once: the others would not have come."""
    stalled = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, stalled.set)

    async def visit(due: float) -> Sample:
        await stalled.wait()
        return await sample(due)

    crowd = Crowd(rate=100, seconds=0.5, visit=visit, lead=0.0, most=1000)
    took = sorted(each.took_ms for each in (await crowd.come()).samples)
    assert len(took) == crowd.begun > 10
    assert took[len(took) // 2] > 100


async def test_a_suite_that_stands_still_stops_the_crowd() -> None:
    gate = asyncio.Event()

    async def visit(due: float) -> Sample:
        if crowd.under_way == crowd.most:
            asyncio.get_running_loop().call_later(0.2, gate.set)
        await gate.wait()
        return await sample(due)

    crowd = Crowd(rate=1000, seconds=1.0, visit=visit, lead=0.0, most=5)
    series = await crowd.come()
    expected = len(list(arrivals(1000, 1.0, seed=1_000_000)))
    assert crowd.begun == crowd.most_under_way == len(series.samples) == 5
    assert crowd.left_behind == expected - 5 > 0
    assert crowd.figures["left_behind"] == crowd.left_behind


async def test_a_fault_of_the_driver_itself_is_not_swallowed() -> None:
    async def visit(_due: float) -> Sample:
        raise KeyError("a fault")

    with pytest.raises(ExceptionGroup):
        await Crowd(rate=100, seconds=0.1, visit=visit, lead=0.0).come()


def line(start: float, per_minute: float, minutes: int = 20) -> list[tuple[float, float]]:
    return [(step / 4, start + per_minute * step / 4) for step in range(minutes * 4)]


def test_what_leaks_grew_and_its_slope_says_how_fast() -> None:
    found = growth(line(100, 0.5))
    assert found["grew"]
    assert found["slope_mib_per_min"] == 0.5
    assert found["last_quarter_mib"] - found["first_quarter_mib"] == pytest.approx(7.5, abs=0.1)


def test_what_stays_or_falls_did_not_grow() -> None:
    assert not growth(line(100, 0))["grew"]
    assert growth(line(100, 0))["slope_mib_per_min"] == 0
    assert not growth(line(100, -0.5))["grew"]
    one_peak = [(minute, 200.0 if minute == 18.0 else 100.0) for minute, _ in line(100, 0)]
    assert not growth(one_peak)["grew"]


def test_what_fills_in_the_first_minutes_and_then_stays_did_not_grow() -> None:
    filling = [(minute, min(held, 110.0)) for minute, held in line(100, 2.5)]
    found = growth(filling)
    assert found["last_quarter_mib"] > found["first_quarter_mib"] + 3
    assert not found["grew"]


def test_each_process_has_its_growth_and_all_together_theirs() -> None:
    looks = [(minute, {"orders": held, "cart": 50.0}) for minute, held in line(100, 0.5)]
    found = memory_figures(looks)
    assert list(found) == ["orders", "cart", "all"]
    assert found["orders"]["grew"]
    assert not found["cart"]["grew"]
    assert found["all"]["first_quarter_mib"] == found["orders"]["first_quarter_mib"] + 50
