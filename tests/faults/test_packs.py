"""All services in two processes: a checkout, and each process killed amid checkouts."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from chaos_buyers import ChaosBuyers, Persistent
from invariants import InvariantChecker
from recorder import recording
from shopfloor import Buyer, Staff, staff_of
from suite.instance import Instance
from suite.processes import PACKED
from testkit.harness import PLAIN

BUYERS = 4
ENDINGS = {"confirmed", "cancelled"}
PATIENT = httpx.Timeout(60.0)
# The test starts a suite of its own.
pytestmark = pytest.mark.timeout(1200)


@asynccontextmanager
async def packed_suite() -> AsyncIterator[tuple[Instance, Staff, InvariantChecker]]:
    """A packed suite of its own, with an open shop."""
    folder = Path(os.environ["TEST_INSTANCE"]).with_name("packed")
    suite = Instance(folder, "test", layout=PACKED)
    await asyncio.to_thread(suite.wipe)
    try:
        await asyncio.to_thread(suite.start)
        with recording(suite) as recorder:
            url = suite.url("gateway")
            async with httpx.AsyncClient(base_url=url, timeout=PATIENT, verify=PLAIN) as http:
                staff = await staff_of(suite, http)
                await staff.open_shop()
                yield suite, staff, InvariantChecker(suite, recorder)
    finally:
        await asyncio.to_thread(suite.discard)


async def test_each_pack_is_killed_amid_checkouts_and_nothing_is_lost() -> None:
    async with packed_suite() as (suite, staff, books):
        packs = {each.name: each.services for each in suite.processes().values() if each.services}
        assert sum(map(len, packs.values())) > len(packs)
        product = await staff.sell(stock=200)
        order = await Buyer(staff.http, staff).buys(product)
        assert order["status"] == "confirmed"
        await staff.ended(order["id"])
        for pack in packs:
            buyers = ChaosBuyers(suite, staff, Persistent(staff.http, wait_limit=300))
            sagas = await buyers.rages(product, BUYERS, partial(buyers.kill, pack))
            assert len(set(buyers.orders)) == 2 * BUYERS == len(sagas)
            assert {order["status"] for order in await buyers.found()} <= ENDINGS
        await books.settle()
        assert await books.violations() == []
