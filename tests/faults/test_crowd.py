"""Crowds of buyers while services crash at their worst moments and messages come twice."""

import asyncio
import random
from collections import Counter

import pytest

from chaos_buyers import Persistent
from failures import CrashPoints, Failure
from invariants import InvariantChecker
from load import SCARCE_PIECES, Load, gather_load, read_all, visits
from queue_proxy import tapped
from shopfloor import Staff
from steps import points
from suite.instance import Instance
from summary import Summary, Watch
from testkit.crash_points import Point

# A quarter finds its scarce product gone and places no order: of these, over 200 do.
VISITS = 260
CRASHES = 8
# The crowd of every test run: half as many buyers for half as many scarce pieces.
HALF = 2
# What every crowd passes; the rarer steps are crashed one by one in test_crash_points.
BUSY = {
    "inventory.ReserveStock",
    "inventory.StockReserved",
    "payments.CollectPayment",
    "payments.PaymentCaptured",
    "orders.OrderPlaced",
    "orders.OrderConfirmed",
    "promotions.RedeemPromotions",
    "promotions.PromotionsRedeemed",
    "shipping.CreateShipments",
    "shipping.ShipmentsCreated",
    "notifications.Notify",
}


def drawn(seed: int, count: int) -> list[Failure]:
    """Crashes the seed chooses; the one between a charge and its record is always among them."""
    worst = Failure("payments", Point.AFTER_CALL, "payments.CollectPayment")
    others = [each for each in points() if each.message in BUSY and each != worst]
    return [worst, *random.Random(f"crashes {seed}").sample(others, count - 1)]


async def crash_one_after_another(
    instance: Instance, crash_points: CrashPoints, failures: list[Failure]
) -> int:
    """Order each failure once the one before has happened and its service is back."""
    for failure in failures:
        crash_points.order([failure])
        while crash_points.ordered():
            await asyncio.sleep(0.05)
        await asyncio.to_thread(instance.wait_ready, failure.service)
    return len(failures)


async def shops_under(
    crowd: Load, seed: int, instance: Instance, crash_points: CrashPoints, *, size: int = 1
) -> int:
    """Let the crowd shop while crashes follow one another; returns how many there were.

    `size` divides how many come and how many crashes are planned.
    """
    planned = drawn(seed, CRASHES // size)
    crashing = asyncio.create_task(crash_one_after_another(instance, crash_points, planned))
    await crowd.shop(visits(seed, VISITS // size))
    crashing.cancel()
    await asyncio.gather(crashing, return_exceptions=True)
    left = {str(each) for each in crash_points.withdraw()}
    await asyncio.to_thread(instance.wait_ready)
    return sum(str(each) not in left for each in planned)


async def everything_holds(crowd: Load, summary: Summary) -> Counter[str]:
    """Nothing is wrong, and every buyer can read how their order ended; returns the ends."""
    assert summary.is_clean(), "\n".join(summary.found)
    ended = Counter(order["status"] for order in await read_all(crowd))
    assert set(ended) <= {"confirmed", "cancelled"}
    return ended


def is_a_shop(ended: Counter[str]) -> bool:
    """Whether something was sold and something was not: how much depends on the machine."""
    return ended.total() > ended["confirmed"] > 0


async def test_a_crowd_shops_while_services_crash_and_messages_come_twice_in_any_order(
    instance: Instance, staff: Staff, client: Persistent, books: InvariantChecker,
    crash_points: CrashPoints, seed: int,
) -> None:  # fmt: skip
    crowd = await gather_load(staff, client, scarce=SCARCE_PIECES // HALF)
    watch = Watch(books, "crashes, repeats and disorder", seed)
    async with (
        tapped(instance, "orders", seed, (1, 3)) as orders,
        tapped(instance, "payments", seed, (1, 3)) as payments,
    ):
        crashed = await shops_under(crowd, seed, instance, crash_points, size=HALF)
        await books.settle(120)
    assert crashed > 0
    assert orders.delivered > orders.passed > 0
    repeated = orders.delivered + payments.delivered - orders.passed - payments.passed
    summary = await watch.summary(crowd, injected=crashed + repeated)
    assert is_a_shop(await everything_holds(crowd, summary))


@pytest.mark.full
@pytest.mark.parametrize("run", range(3))
async def test_other_crowds_shop_while_services_crash(
    run: int, instance: Instance, staff: Staff, client: Persistent, books: InvariantChecker,
    crash_points: CrashPoints, seed: int,
) -> None:  # fmt: skip
    crowd = await gather_load(staff, client, scarce=SCARCE_PIECES)
    watch = Watch(books, f"crashes, crowd {run}", seed + run)
    crashed = await shops_under(crowd, seed + run, instance, crash_points)
    summary = await watch.summary(crowd, injected=crashed)
    assert is_a_shop(await everything_holds(crowd, summary))


def test_a_seed_draws_the_same_crowd_and_the_same_crashes_again(seed: int) -> None:
    assert visits(seed, VISITS) == visits(seed, VISITS) != visits(seed + 1, VISITS)
    assert drawn(seed, CRASHES) == drawn(seed, CRASHES) != drawn(seed + 1, CRASHES)
    assert len({each.service for each in points()}) == 7
