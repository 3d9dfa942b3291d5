"""The guide for other systems, pasted into a shell as it stands; and a foreign system that starts cold."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cartwright.access import broker
from invariants import InvariantChecker
from pricelist import Line, compose, lines
from shopfloor import Buyer, Staff, ok, until
from subscriber import Feed
from subscriber.feed import FeedRefused
from suite.environment import as_exports
from suite.instance import Instance

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = "select variant_id, product_id, availability from variant_stock order by variant_id"
ON_SALE = (
    "select v.sku, p.name, p.currency, v.price_amount, v.is_available and p.status = 'active', "
    "coalesce(s.available, 0) from variant_snapshots v join product_snapshots p using (product_id) "
    "left join stock_snapshots s using (variant_id) order by v.sku"
)


def guide(instance: Instance) -> str:
    """Every block of the guide, with the access to this instance."""
    guide = (ROOT / "docs/subscribing.md").read_text()
    blocks: list[str] = re.findall(r"```bash\n(.*?)```", guide, re.DOTALL)
    first, second = blocks[0].splitlines()
    assert first == 'eval "$(.venv/bin/python -m suite env operator)"'
    return "\n".join([as_exports(instance.environment.of_operator()), second, *blocks[1:]])


async def test_the_guide_for_other_systems_works_as_written(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    order = await buyer.buys(await staff.sell(stock=5))
    await staff.ended(order["id"])
    completed = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euo", "pipefail", "-c", guide(instance)],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    out = completed.stdout
    assert "invoice for 2026-000042 4500 USD" in out
    assert f"invoice for {order['order_number']} {order['total']['amount']} USD" in out
    assert "0 dead letters are back in the queue" in out
    assert out.count("✓ equal") == 5
    assert '"next_cursor":"' in out
    assert "ext.billing.events" in out


@pytest_asyncio.fixture
async def engine(instance: Instance) -> AsyncIterator[AsyncEngine]:
    """A database of the foreign system's own, on the same server."""
    url = instance.dsn("postgres", "postgres").replace("postgresql://", "postgresql+asyncpg://", 1)
    admin = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text("drop database if exists pricelist with (force)"))
        await connection.execute(text("create database pricelist"))
    made = create_async_engine(admin.url.set(database="pricelist"))
    yield made
    await made.dispose()
    async with admin.connect() as connection:
        await connection.execute(text("drop database pricelist with (force)"))
    await admin.dispose()


@dataclass
class Foreign:
    """The price list's access to this shop."""

    url: str
    feed: Feed


@pytest_asyncio.fixture
async def foreign(instance: Instance, staff: Staff) -> AsyncIterator[Foreign]:
    amqp = f"amqp://127.0.0.1:{instance.environment.ports['rabbitmq']}"
    with broker(instance.environment.broker.management_url, amqp) as access:
        granted = await asyncio.to_thread(access.add, "pricelist", ["events"], 10_000)
        url = "/v1/admin/subscribers/pricelist"
        token = ok(await staff.http.put(url, json={}, headers=staff.headers))["token"]
        feed = Feed(instance.url("gateway"), token)
        yield Foreign(granted.url, feed)
        await feed.close()
        await asyncio.to_thread(access.remove, "pricelist")


async def live(books: InvariantChecker) -> list[Line]:
    """The shop's own read model, as cart stores it."""
    return [tuple(row) for row in await books.rows("cart", ON_SALE)]


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> AsyncIterator[None]:
    """Let the foreign system run meanwhile; what ended it early is raised."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        stop.set()
        await task


async def test_a_foreign_system_starts_cold_and_ends_equal_to_the_shop(
    foreign: Foreign, staff: Staff, buyer: Buyer, at_rest: InvariantChecker, engine: AsyncEngine
) -> None:
    before = await staff.sell(stock=7)
    prices = await compose(engine, foreign.url, foreign.feed)
    stop = asyncio.Event()
    async with beside(prices.rebuild(stop), stop):
        await buyer.buys(before, 2)
        after = await staff.sell(stock=3)
        await at_rest.settle()

        async def equal() -> bool:
            return list(await lines(engine)) == await live(at_rest)

        await until(equal)
    available = {line[0]: line[5] for line in await lines(engine)}
    assert (available[before.sku], available[after.sku]) == (5, 3)


async def test_a_log_shorter_than_history_is_made_up_for_by_snapshots(
    instance: Instance,
    foreign: Foreign,
    staff: Staff,
    buyer: Buyer,
    at_rest: InvariantChecker,
    engine: AsyncEngine,
) -> None:
    """The log of this newcomer begins after its first products were made."""
    early = await staff.sell(stock=7)
    await at_rest.settle()
    short = "ext.pricelist.log"
    connection = await aio_pika.connect(instance.broker_url())
    async with connection:
        channel = await connection.channel()
        kind: Any = {"x-queue-type": "stream"}
        log = await channel.declare_queue(short, durable=True, arguments=kind)
        await log.bind("events", "#")
    late = await staff.sell(stock=3)
    await at_rest.settle()
    newcomer = await compose(engine, foreign.url, None)
    newcomer.log = short
    await newcomer.replay()
    known = {line[0] for line in await lines(engine)}
    assert early.sku not in known, "the log was not short after all"
    assert late.sku in known
    stop = asyncio.Event()
    async with beside(newcomer.bootstrap(stop, foreign.feed), stop):
        await buyer.buys(early, 2)
        await at_rest.settle()

        async def equal() -> bool:
            return list(await lines(engine)) == await live(at_rest)

        await until(equal)
    assert {line[0]: line[5] for line in await lines(engine)}[early.sku] == 5


async def test_the_shops_own_copies_fill_themselves_again(
    instance: Instance, staff: Staff, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=7)
    await at_rest.settle()
    before = await live(at_rest)
    seen = await at_rest.rows("catalog", VARIANTS)
    for name in ("cart", "catalog"):
        instance.stop_process(name)
    await at_rest.rows("cart", "truncate product_snapshots, variant_snapshots, stock_snapshots")
    await at_rest.rows("catalog", "truncate variant_stock")
    assert await live(at_rest) == []
    for name in ("cart", "catalog"):
        instance.start_process(name)

    async def equal() -> bool:
        catalog = await at_rest.rows("catalog", VARIANTS)
        return await live(at_rest) == before and catalog == seen

    await until(equal)
    assert product.sku in {line[0] for line in before}


async def test_what_no_queue_of_yours_could_take_is_refused(foreign: Foreign) -> None:
    with pytest.raises(FeedRefused, match="no_such_queue"):
        await foreign.feed.request_snapshots(["catalog.ProductSnapshot"], "nowhere")
