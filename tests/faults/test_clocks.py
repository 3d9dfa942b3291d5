"""One service's machine has a wrong clock: no order pays for it, and it shows."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from chaos_buyers import Persistent
from failures import with_defect
from invariants import InvariantChecker
from load import SCARCE_PIECES, Load, gather_load, visits
from shopfloor import Staff
from suite.instance import Instance
from summary import Watch
from test_crowd import VISITS, everything_holds
from testkit.metrics_page import MetricsPage

pytestmark = pytest.mark.full
HOURS = 7200


@pytest_asyncio.fixture
async def late(instance: Instance, staff: Staff) -> AsyncIterator[str]:
    """The service whose clock is two hours behind, while it runs so."""
    name = "orders"
    overrides = {**instance.overrides, name: with_defect("clock_two_hours_behind")}
    await asyncio.to_thread(Instance(instance.folder, "test", overrides=overrides).start)
    yield name
    await asyncio.to_thread(instance.start)


async def test_a_crowd_shops_while_the_clock_of_orders_is_two_hours_behind(
    late: str,
    instance: Instance,
    staff: Staff,
    client: Persistent,
    books: InvariantChecker,
    seed: int,
) -> None:
    crowd: Load = await gather_load(staff, client, scarce=SCARCE_PIECES)
    watch = Watch(books, "the clock of orders two hours behind", seed)
    await crowd.shop(visits(seed, VISITS))
    async with httpx.AsyncClient(base_url=instance.url(late)) as http:
        shown = MetricsPage.of(await http.get("/metrics"))
    assert abs(shown("cartwright_clock_skew_seconds") + HOURS) < 60
    await everything_holds(crowd, await watch.summary(crowd, injected=1))
    late_orders = "select cancellation_reason, count(*) from orders where placed_at > $1 group by 1"
    reasons = dict(await books.rows("orders", late_orders, watch.began))
    assert "timed_out" not in reasons
    assert None in reasons
