"""Following events, sending a test event, and verifying correct and faulty subscribers."""

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
    events = await connection.fetchval("select status from orders where id = $1::uuid", sys.argv[2])
    print(events or "")
asyncio.run(main())
"""


async def run(*arguments: str, url: str = "") -> tuple[int, str]:
    """Run the command in its own process, so that this event loop continues."""
    settings = os.environ | {"CARTWRIGHT_AMQP_URL": url, "COLUMNS": "120", "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cartwright", *arguments,
        env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode()


async def test_tail_reads_the_log_from_its_beginning_by_type_and_by_aggregate(shop: Shop) -> None:
    one, other = new_id(), new_id()
    await shop.publish(placed(one), shipped(one), placed(other))
    url = shop.grant("billing").url
    code, out = await run("events", "tail", "--since", "first", "--count", "3", url=url)
    assert code == 0, out
    assert [line.split()[1] for line in out.splitlines()] == [
        "orders.OrderPlaced.v1", "orders.OrderShipped.v1", "orders.OrderPlaced.v1",
    ]  # fmt: skip
    chosen = ("--type", "orders.OrderPlaced", "--subject", str(other), "--since", "1h")
    code, out = await run("events", "tail", *chosen, "--count", "1", "--json", url=url)
    assert code == 0, out
    assert structured.read(out.strip().encode()) == shop.published[2]


async def test_tail_shows_new_events_as_they_are_published(shop: Shop) -> None:
    url = shop.grant("billing").url
    await shop.publish(placed(new_id()))
    tail = asyncio.create_task(run("events", "tail", "--count", "1", url=url))
    order = new_id()
    async with asyncio.timeout(60):
        while not tail.done():
            await shop.publish(placed(order))
            await asyncio.wait([tail], timeout=0.2)
    code, out = await tail
    assert code == 0
    assert str(order) in out


async def test_trigger_sends_an_event_to_the_own_queue_alone(
    shop: Shop, engine: AsyncEngine
) -> None:
    inbox = SqlInbox(engine)
    await inbox.create_tables()
    url = shop.grant("billing").url
    billing = Subscriber("billing", url, inbox)
    received: list[OrderPlaced] = []

    @billing.handles(OrderPlaced)
    async def note(event: OrderPlaced, delivery: Delivery) -> None:
        received.append(event)

    order = str(new_id())
    async with running(billing):
        given = ("--set", f"order_id={order}", "--set", 'total={"amount": 7, "currency": "EUR"}')
        code, out = await run("events", "trigger", "orders.OrderPlaced", *given, url=url)
        assert code == 0, out

        async def arrived() -> Any:
            return received

        await until(arrived)
    (event,) = received
    assert (str(event.order_id), event.total.amount, event.total.currency) == (order, 7, "EUR")
    assert await Log(url).end() is None


async def test_trigger_show_prints_the_event_without_sending_it(shop: Shop) -> None:
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
async def test_an_invalid_argument_names_the_valid_ones(
    shop: Shop, arguments: list[str], words: str
) -> None:
    code, out = await run("events", *arguments, url=shop.url)
    assert code == 1
    assert words in " ".join(out.split())
    assert "Traceback" not in out


async def test_an_unavailable_broker_is_a_refusal() -> None:
    code, out = await run("events", "tail", url="amqp://ext.a:b@127.0.0.1:9/x")
    assert code == 1
    assert "the broker:" in out


def test_every_command_has_help() -> None:
    for command in (["events"], ["subscriber"], ["events", "tail"], ["subscriber", "add"]):
        shown = CliRunner().invoke(app, [*command, "--help"])
        assert shown.exit_code == 0
        assert "Usage" in shown.output


Make = Callable[[str, AsyncEngine], Subscriber]


def sequenced(url: str, engine: AsyncEngine) -> Subscriber:
    """Applies events in the order of their numbers; an early one waits in the retry tiers."""
    return recording(Subscriber("good", url, SequencedInbox(engine), retry_tiers=(0.1, 0.3, 0.5)))


def unordered(url: str, engine: AsyncEngine) -> Subscriber:
    """Applies each event once, in the order of arrival."""
    return recording(Subscriber("good", url, SqlInbox(engine)))


def without_inbox(url: str, engine: AsyncEngine) -> Subscriber:
    """The seeded defect: no inbox, so that duplicates are applied."""

    async def apply(envelope: Any, work: Any) -> bool:
        async with engine.begin() as connection:
            await work(connection)
        return True

    return recording(Subscriber("good", url, apply))


def recording(subscriber: Subscriber) -> Subscriber:
    """Have a subscriber store the events of each order in the order of handling."""

    @subscriber.handles(OrderPlaced, OrderShipped, OrderCancelled)
    async def record(event: Any, delivery: Delivery) -> None:
        await delivery.tx.execute(
            text(
                "insert into orders values (:id, :word) on conflict (id) "
                "do update set status = orders.status || ' ' || :word"
            ),
            {"id": event.order_id, "word": type(event).__name__},
        )

    return subscriber


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (sequenced, []),
        (unordered, ["reordered", "all at once"]),
        (without_inbox, ["duplicates", "late repeats", "reordered", "all at once"]),
    ],
)
async def test_verify_detects_each_faulty_subscriber(
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


async def test_verify_reports_a_failing_probe_and_mixed_aggregates(shop: Shop) -> None:
    url = shop.grant("good").url
    code, out = await run(
        "events", "verify", "--probe", "false", "--type", "orders.OrderPlaced", url=url
    )
    assert (code, "the probe failed" in out) == (1, True)
    mixed = ("--type", "orders.OrderPlaced", "--type", "payments.PaymentFailed")
    code, out = await run("events", "verify", "--probe", "true", *mixed, url=url)
    assert (code, "of one aggregate" in " ".join(out.split())) == (1, True)
