"""Every step of the saga crashes at each of its points, and every side effect of a checkout fails."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

import steps
from chaos_buyers import UNAVAILABLE
from failures import CRASH, RAISE, CrashPoints, Failure, pairwise
from invariants import InvariantChecker
from journeys import Journeys
from retrying_transport import RetryingTransport
from shopfloor import Staff, until
from suite.instance import Instance
from summary import Watch

PARTS = 6
TOGETHER = 3
# Faults that are exceptions show as 500 to the client of that moment, which retries.
AGAIN = (500, *UNAVAILABLE)

_found: dict[str, list[Failure]] = {}


@pytest_asyncio.fixture
async def journeys(
    instance: Instance, staff: Staff, books: InvariantChecker
) -> AsyncIterator[Journeys]:
    """Journeys whose every request is repeated until it is answered."""
    async with httpx.AsyncClient(
        base_url=instance.url("gateway"), transport=RetryingTransport(AGAIN), timeout=90
    ) as http:
        patient = Staff(http, staff.token, staff.category_id, staff.warehouses)
        patient.shipping_method_id = staff.shipping_method_id
        yield Journeys(patient, http, await patient.sell(stock=100_000), books)


async def passes(
    journeys: Journeys, crash_points: CrashPoints, books: InvariantChecker
) -> dict[str, list[Failure]]:
    """Which points each journey passes when nothing fails; found once, journey by journey."""
    if not _found:
        for name, journey in journeys.all().items():
            since = crash_points.position()
            await journey()
            await books.settle()
            _found[name] = crash_points.passed(since)
    return _found


def chosen(found: dict[str, list[Failure]]) -> dict[Failure, str]:
    """The first journey that passes each point of the saga's steps."""
    wanted = set(steps.points())
    reached: dict[Failure, str] = {}
    for name, passed in found.items():
        for point in passed:
            if point in wanted:
                reached.setdefault(point, name)
    return reached


async def suffer(
    journeys: Journeys, instance: Instance, crash_points: CrashPoints, planned: dict[Failure, str]
) -> int:
    """Order failures and go the journeys that pass them; returns how many have happened."""
    crash_points.order(planned)
    kinds = journeys.all()
    await asyncio.gather(*(kinds[name]() for name in set(planned.values())))
    left = crash_points.withdraw()
    await asyncio.to_thread(instance.wait_ready, *{each.service for each in planned})
    return len(planned) - len(left)


@pytest.mark.full
@pytest.mark.parametrize("part", range(PARTS))
async def test_every_step_of_every_service_crashes_at_each_of_its_points(
    part: int, instance: Instance, journeys: Journeys, crash_points: CrashPoints, books: InvariantChecker,
    seed: int,
) -> None:  # fmt: skip
    reached = chosen(await passes(journeys, crash_points, books))
    groups = pairwise(reached, seed, TOGETHER)[part::PARTS]
    watch = Watch(books, f"crash points, part {part + 1} of {PARTS}", seed)
    happened = 0
    for group in groups:
        print(f"\n· {'; '.join(map(str, group))}", end="", flush=True)
        happened += await suffer(
            journeys, instance, crash_points, {each: reached[each] for each in group}
        )
    planned = sum(map(len, groups))
    summary = await watch.summary(injected=happened)
    assert summary.is_clean(), "\n".join(summary.found)
    # A crash in front of a point may lead the journey round it, but hardly ever does.
    assert happened > planned * 0.8


@pytest.mark.full
async def test_the_journeys_pass_most_of_the_steps_there_are(
    journeys: Journeys, crash_points: CrashPoints, books: InvariantChecker
) -> None:
    reached = chosen(await passes(journeys, crash_points, books))
    missed = sorted(set(steps.points()) - set(reached))
    print(f"\n{len(steps.pairs())} pairs, {len(steps.points())} points, not passed by any journey:")
    print("\n".join(f"  {each.service} {each.point} {each.message}" for each in missed))
    assert len(missed) < len(steps.points()) / 5


@pytest.mark.full
@pytest.mark.parametrize("how", [RAISE, CRASH])
async def test_the_nth_side_effect_of_a_checkout_fails_for_every_n(
    how: str, instance: Instance, journeys: Journeys, crash_points: CrashPoints, books: InvariantChecker,
    seed: int,
) -> None:  # fmt: skip
    since = crash_points.position()
    await journeys.bought()
    await books.settle()
    effects = crash_points.passed(since)
    watch = Watch(books, f"the n-th side effect fails by {how}, n = 1…{len(effects)}", seed)
    happened = 0
    for effect in effects:
        failure = Failure(effect.service, effect.point, effect.message, how)
        happened += await suffer(journeys, instance, crash_points, {failure: "bought"})
    summary = await watch.summary(injected=happened)
    assert summary.is_clean(), "\n".join(summary.found)
    assert happened > len(effects) * 0.9


async def test_a_charge_whose_answer_was_never_recorded_is_made_once(
    instance: Instance,
    staff: Staff,
    journeys: Journeys,
    crash_points: CrashPoints,
    books: InvariantChecker,
) -> None:
    """The costliest moment of all: the provider has the money and we died before we knew."""
    worst = Failure("payments", "after_call", "payments.CollectPayment")
    assert worst in steps.points()
    crash_points.order([worst])
    _, order_id = await journeys.place()

    async def charged() -> list[Any]:
        charges = "select status from charges where reference = $1"
        return await books.rows("sandbox", charges, order_id)

    await until(charged)
    await journeys.stage(order_id)
    assert crash_points.ordered() == []
    assert len(await charged()) == 1
    await books.settle()
    assert await books.violations() == []


def test_every_seed_draws_other_pairs_and_leaves_none_out(seed: int) -> None:
    groups = pairwise(steps.points(), seed)
    assert sorted(each for group in groups for each in group) == steps.points()
    assert all(len({each.service for each in group}) == len(group) for group in groups)
    assert pairwise(steps.points(), seed) == groups != pairwise(steps.points(), seed + 1)
