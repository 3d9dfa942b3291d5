"""Watching events, sending one to oneself, and trying good and bad subscribers out."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from foreign import Shop, placed, running, shipped, until
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from cartwright.cli import app
from chassis.ids import new_id
from contracts import structured
from contracts.orders import OrderCancelled, OrderPlaced, OrderShipped
from subscriber import Delivery, Log, Subscriber
from subscriber.inbox import SequencedInbox, SqlInbox

PROBE = """
import asyncio, asyncpg, sys
async def main():
    connection = await asyncpg.connect(sys.argv[1])
    rows = await connection.fetch("select told from orders where id = $1::uuid", sys.argv[2])
    print(rows and rows[0]["told"] or "")
asyncio.run(main())
"""


async def run(*arguments: str, url: str = "") -> tuple[int, str]:
    """The command in a process of its own, so that our own loop goes on."""
    settings = os.environ | {"CARTWRIGHT_AMQP_URL": url, "COLUMNS": "120", "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cartwright", *arguments,
        env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode()


async def test_the_log_is_shown_from_its_beginning_by_type_and_by_order(shop: Shop) -> None:
    one, other = new_id(), new_id()
    await shop.say(placed(one), shipped(one), placed(other))
    url = shop.grant("billing").url
    code, out = await run("events", "tail", "--since", "first", "--count", "3", url=url)
    assert code == 0, out
    assert [line.split()[1] for line in out.splitlines()] == [
        "orders.OrderPlaced.v1", "orders.OrderShipped.v1", "orders.OrderPlaced.v1",
    ]  # fmt: skip
    chosen = ("--type", "orders.OrderPlaced", "--subject", str(other), "--since", "1h")
    code, out = await run("events", "tail", *chosen, "--count", "1", "--json", url=url)
    assert code == 0, out
    assert structured.read(out.strip().encode()) == shop.said[2]


async def test_what_is_said_from_now_on_is_shown_as_it_comes(shop: Shop) -> None:
    url = shop.grant("billing").url
    await shop.say(placed(new_id()))
    watching = asyncio.create_task(run("events", "tail", "--count", "1", url=url))
    order, said = new_id(), 0
    async with asyncio.timeout(60):
        while not watching.done():
            await shop.say(placed(order))
            said += 1
            await asyncio.wait([watching], timeout=0.2)
    code, out = await watching
    assert code == 0
    assert str(order) in out


async def test_an_event_can_be_sent_to_oneself_and_to_nobody_else(
    shop: Shop, engine: AsyncEngine
) -> None:
    inbox = SqlInbox(engine)
    await inbox.create_tables()
    url = shop.grant("billing").url
    billing = Subscriber("billing", url, inbox)
    told: list[OrderPlaced] = []

    @billing.handles(OrderPlaced)
    async def note(event: OrderPlaced, delivery: Delivery) -> None:
        told.append(event)

    order = str(new_id())
    async with running(billing):
        given = ("--set", f"order_id={order}", "--set", 'total={"amount": 7, "currency": "EUR"}')
        code, out = await run("events", "trigger", "orders.OrderPlaced", *given, url=url)
        assert code == 0, out

        async def record_arrival() -> Any:
            return told

        await until(record_arrival)
    (event,) = told
    assert (str(event.order_id), event.total.amount, event.total.currency) == (order, 7, "EUR")
    assert await Log(url).end() is None


async def test_what_would_be_sent_can_be_looked_at(shop: Shop) -> None:
    url = shop.grant("billing").url
    code, out = await run("events", "trigger", "orders.OrderShipped", "--show", url=url)
    assert code == 0
    envelope, data = structured.read(out.strip().encode())
    assert envelope.type == "cartwright.orders.OrderShipped.v1"
    assert json.loads(data)["order_number"] == "2026-000042"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tail", "--since", "yesterday"], "write 90s, 10m, 2h, 7d or first"),
        (["tail", "--type", "orders"], "a type is `orders.OrderPlaced`"),
        (["trigger", "orders.OrderPlaces"], "there is no event orders.OrderPlaces. There are:"),
        (["trigger", "inventory.ReserveStock"], "there is no event inventory.ReserveStock"),
        (["trigger", "orders.OrderPlaced", "--set", "total"], "write NAME=VALUE"),
        (["trigger", "orders.OrderPlaced", "--set", "total=7"], "that is no orders.OrderPlaced.v1"),
        (["trigger", "orders.OrderPlaced"], "not the user of another system"),
    ],
)
async def test_a_wrong_word_is_answered_with_the_right_ones(
    shop: Shop, arguments: list[str], words: str
) -> None:
    code, out = await run("events", *arguments, url=shop.url)
    assert code == 1
    assert words in " ".join(out.split())
    assert "Traceback" not in out


async def test_a_broker_that_is_away_is_said() -> None:
    code, out = await run("events", "tail", url="amqp://ext.a:b@127.0.0.1:9/x")
    assert code == 1
    assert "the broker:" in out


def test_every_command_helps() -> None:
    for command in (["events"], ["subscriber"], ["events", "tail"], ["subscriber", "add"]):
        shown = CliRunner().invoke(app, [*command, "--help"])
        assert shown.exit_code == 0
        assert "Usage" in shown.output


Make = Callable[[str, AsyncEngine], Subscriber]


def careful(url: str, engine: AsyncEngine) -> Subscriber:
    """Takes numbers in order: whatever comes wrong waits in the retry tiers."""
    return telling(Subscriber("good", url, SequencedInbox(engine), retry_tiers=(0.1, 0.3, 0.5)))


def hasty(url: str, engine: AsyncEngine) -> Subscriber:
    """Knows each event once and takes them as they come: order is not minded."""
    return telling(Subscriber("good", url, SqlInbox(engine)))


def forgetful(url: str, engine: AsyncEngine) -> Subscriber:
    """The planted defect: no inbox at all."""

    async def nothing_is_remembered(envelope: Any, work: Any) -> bool:
        async with engine.begin() as connection:
            await work(connection)
        return True

    return telling(Subscriber("good", url, nothing_is_remembered))


def telling(subscriber: Subscriber) -> Subscriber:
    """What was heard of an order, in the order in which it was heard."""

    @subscriber.handles(OrderPlaced, OrderShipped, OrderCancelled)
    async def tell(event: Any, delivery: Delivery) -> None:
        await delivery.tx.execute(
            text(
                "insert into orders values (:id, :word) on conflict (id) "
                "do update set told = orders.told || ' ' || :word"
            ),
            {"id": event.order_id, "word": type(event).__name__},
        )

    return subscriber


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (careful, []),
        (hasty, ["reordered", "all at once"]),
        (forgetful, ["duplicates", "late repeats", "reordered", "all at once"]),
    ],
)
async def test_a_subscriber_is_tried_out(
    shop: Shop, engine: AsyncEngine, tmp_path: Path, make: Make, wrong: list[str]
) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE)
    dsn = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    good = make(shop.grant("good").url, engine)
    await SqlInbox(engine).create_tables()
    history = [
        f"--type=orders.{name}" for name in ("OrderPlaced", "OrderShipped", "OrderCancelled")
    ]
    command = f"{sys.executable} {probe} {dsn} {{subject}}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(good))
        code, out = await run(
            "events", "verify", "--probe", command, *history,
            "--within", "4" if wrong else "30", url=good.url,
        )  # fmt: skip
    rows = [line for line in out.splitlines() if "equal" in line or "differs" in line]
    found = [row.split("✗")[0].strip() for row in rows if "differs" in row]
    assert len(rows) == 5, out
    assert found == wrong, out
    assert code == (1 if wrong else 0)
    assert "OrderPlaced OrderShipped OrderCancelled" in out


async def test_a_probe_that_fails_is_said(shop: Shop) -> None:
    url = shop.grant("good").url
    code, out = await run(
        "events", "verify", "--probe", "false", "--type", "orders.OrderPlaced", url=url
    )
    assert (code, "the probe failed" in out) == (1, True)
    mixed = ("--type", "orders.OrderPlaced", "--type", "payments.PaymentFailed")
    code, out = await run("events", "verify", "--probe", "true", *mixed, url=url)
    assert (code, "of one aggregate" in " ".join(out.split())) == (1, True)
