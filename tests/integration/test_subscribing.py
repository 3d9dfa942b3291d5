"""The guide for other systems, pasted into a shell as it stands; and a foreign system that starts cold."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cartwright.access import broker
from invariants import Books
from pricelist import Line, compose, lines
from shopfloor import Buyer, Staff, ok, until
from subscriber import Feed
from suite.environment import as_exports
from suite.instance import Instance

ROOT = Path(__file__).resolve().parents[2]
ON_SALE = (
    "select v.sku, p.name, p.currency, v.price_amount, v.is_available and p.status = 'active', "
    "coalesce(s.available, 0) from variant_snapshots v join product_snapshots p using (product_id) "
    "left join stock_snapshots s using (variant_id) order by v.sku"
)


def guide(instance: Instance) -> str:
    """Every block of the guide, with the access to this instance."""
    told = (ROOT / "docs/subscribing.md").read_text()
    blocks: list[str] = re.findall(r"```bash\n(.*?)```", told, re.DOTALL)
    first, second = blocks[0].splitlines()
    assert first == 'eval "$(.venv/bin/python -m suite env operator)"'
    return "\n".join([as_exports(instance.environment.of_operator()), second, *blocks[1:]])


async def test_the_guide_for_other_systems_does_what_it_says(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: Books
) -> None:
    order = await buyer.buys(await staff.sell(stock=5))
    await staff.ended(order["id"])
    told = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euo", "pipefail", "-c", guide(instance)],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    out = told.stdout
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


async def test_a_foreign_system_starts_cold_and_ends_equal_to_the_shop(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: Books, engine: AsyncEngine
) -> None:
    before = await staff.sell(stock=7)
    amqp = f"amqp://127.0.0.1:{instance.environment.ports['rabbitmq']}"
    access = broker(instance.environment.broker.management_url, amqp)
    granted = await asyncio.to_thread(access.add, "pricelist", ["events"], 10_000)
    url = "/v1/admin/subscribers/pricelist"
    token = ok(await staff.http.put(url, json={}, headers=staff.headers))["token"]
    feed = Feed(instance.url("gateway"), token)
    prices = await compose(engine, granted.url, feed)
    stop = asyncio.Event()
    task = asyncio.create_task(prices.rebuild(stop))
    try:
        await buyer.buys(before, 2)
        after = await staff.sell(stock=3)
        await at_rest.settle()

        async def equal() -> Any:
            if task.done():
                await task
            live = [tuple(row) for row in await at_rest.rows("cart", ON_SALE)]
            mine: list[Line] = list(await lines(engine))
            return mine if mine == live else None

        mine = await until(equal)
        assert {before.sku: 5, after.sku: 3}.items() <= {row[0]: row[5] for row in mine}.items()
        assert len(mine) >= 2
    finally:
        stop.set()
        await task
        await feed.close()
        await asyncio.to_thread(access.remove, "pricelist")
