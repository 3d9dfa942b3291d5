"""Replicas that freeze: what they have locked is let go, and the others carry on."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from failures import FREEZE, CrashPoints, Failure
from invariants import InvariantChecker
from load import Load, visits
from replicas import replica_process
from shopfloor import until
from suite.instance import Instance
from summary import Watch
from test_crowd import VISITS, everything_holds
from testkit import crash_points
from testkit.crash_points import Point

pytestmark = pytest.mark.full
AMID_A_PASS = Failure("orders", Point.BEFORE_PUBLISH, "orders.OrderConfirmed", FREEZE)


async def test_a_replica_freezes_amid_a_pass_of_its_relay(
    instance: Instance,
    crowd: Load,
    books: InvariantChecker,
    seed: int,
    tmp_path: Path,
) -> None:
    """The other one sends what waits while the first is frozen still; then it wakes and recovers."""
    watch = Watch(books, "a replica frozen amid a relay pass", seed)
    own = CrashPoints(tmp_path)
    own.order([AMID_A_PASS])
    async with replica_process(instance, "orders", **crash_points.environment(tmp_path)) as (
        _,
        frozen,
    ):
        shopping = asyncio.create_task(crowd.shop(visits(seed, VISITS)))
        await until(lambda: has_happened(own))
        before = await waiting(books)
        await until(lambda: all_sent(books, before))
        os.kill(frozen.pid, signal.SIGCONT)
        await shopping
    await everything_holds(crowd, await watch.summary(crowd, injected=1))


async def has_happened(points: CrashPoints) -> bool:
    """Whether the replica has come to where it freezes."""
    return not points.ordered()


async def waiting(books: InvariantChecker) -> set[int]:
    """The messages that orders has committed and not sent; some are in the frozen batch."""
    return {row["seq"] for row in await books.rows("orders", "select seq from outbox")}


async def all_sent(books: InvariantChecker, before: set[int]) -> bool:
    """Whether none of those messages waits any more."""
    return not before & await waiting(books)
