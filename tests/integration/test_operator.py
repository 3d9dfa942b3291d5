"""The operator's command on a suite that was really damaged: it detects and repairs."""

import json
import secrets
from typing import Any

import aio_pika
import asyncpg
import httpx
import pytest

from access import verify
from chassis.ids import new_id
from impersonation import allow_any_name
from invariants import InvariantChecker
from operator_cli import OperatorCli, damage
from shopfloor import Buyer, Staff, sign_in, until
from suite.instance import Instance
from test_strange_messages import send

WHY = ("--reason", "the test wants it")


@pytest.fixture
def desk(instance: Instance, staff: Staff) -> OperatorCli:
    """The administrator at the keyboard."""
    return OperatorCli(instance.url("gateway"), staff.token)


async def waiting_order(buyer: Buyer, staff: Staff) -> str:
    """An order whose customer must still confirm the payment."""
    product = await staff.sell(stock=3)
    order = await buyer.buys(product, payment={"method": "card", "token": "tok_action"})

    async def waits() -> bool:
        return (await staff.saga(order["id"]))["stage"] == "awaiting_customer"

    await until(waits)
    return str(order["id"])


async def test_the_timeline_shows_where_an_order_is_and_why(
    desk: OperatorCli, staff: Staff, buyer: Buyer, books: InvariantChecker
) -> None:
    order = await buyer.buys(await staff.sell(stock=3))
    await staff.ended(order["id"])

    timeline = await desk.json("saga", "show", order["order_number"])
    shown = await desk.run("saga", "show", order["id"])
    listed = await desk.json("saga", "list", "--stage", "completed", "--limit", "5")

    messages = [step["heard"] for step in timeline["steps"]]
    assert messages == ["Placed", "StockReserved", "PaymentCaptured", "ShipmentsCreated"]
    assert all(step["message_id"] and step["seconds"] >= 0 for step in timeline["steps"][1:])
    assert all(step["trace_id"] for step in timeline["steps"])
    for part in (
        *messages,
        order["order_number"],
        timeline["steps"][1]["trace_id"],
        "CollectPayment",
    ):
        assert part in shown
    assert order["id"] in {saga["order_id"] for saga in listed}
    assert "there is no order" in await desk.refused("saga", "show", "1999-000001")


async def test_a_saga_that_lost_its_deadline_is_found_resumed_and_compensated(
    instance: Instance, desk: OperatorCli, staff: Staff, buyer: Buyer, books: InvariantChecker
) -> None:
    order_id = await waiting_order(buyer, staff)
    lost = f"update checkout_sagas set deadline_at = null where order_id = '{order_id}'"
    await damage(instance, "orders", lost)

    stuck = await desk.json("saga", "list", "--stuck")
    assert order_id in {saga["order_id"] for saga in stuck}
    resumed = await desk.json("saga", "resume", order_id, *WHY)
    assert resumed["deadline_at"] is not None
    assert "not_standing_still" in await desk.refused("saga", "resume", order_id, *WHY)

    retried = await desk.json("saga", "retry", order_id, *WHY)
    assert retried["steps"][-1]["sent"] == ["CollectPayment"]
    undone = await desk.json("saga", "compensate", order_id, *WHY, "--yes")
    assert undone["stage"] == "cancelling_payment"
    assert (await staff.ended(order_id))["stage"] == "cancelled"

    charges = "select 1 from charges where reference = $1"
    assert len(await books.rows("sandbox", charges, order_id)) == 1
    audit_entries = await desk.json("audit", "--service", "orders", "--target", order_id)
    assert [deed["action"] for deed in audit_entries] == [
        "saga.compensate",
        "saga.retry",
        "saga.resume",
    ]
    assert {deed["reason"] for deed in audit_entries} == {WHY[1]}
    assert audit_entries[0]["before"]["stage"] == "awaiting_customer"


async def test_what_staff_settled_by_hand_is_skipped(
    instance: Instance, desk: OperatorCli, staff: Staff, buyer: Buyer, books: InvariantChecker
) -> None:
    order = await buyer.buys(await staff.sell(stock=3))
    await staff.ended(order["id"])
    review = (
        "update checkout_sagas set stage = 'needs_review', ended_at = null where order_id = '{}'"
    )
    await damage(instance, "orders", review.format(order["id"]))

    assert order["order_number"] in await desk.run("saga", "list", "--stuck")
    assert "is completed" in await desk.run("saga", "skip", order["id"], *WHY, "--yes")


async def test_mail_that_died_of_a_broken_table_is_handed_in_again_once(
    instance: Instance, desk: OperatorCli, staff: Staff, buyer: Buyer, books: InvariantChecker
) -> None:
    product = await staff.sell(stock=3)
    await damage(instance, "notifications", "alter table email_messages rename to email_away")
    try:
        order = await buyer.buys(product)

        async def died() -> list[dict[str, object]]:
            letters = await desk.json("dead", "list", "--service", "notifications", "--letters")
            return [each for each in letters if each["correlation_id"] == order["id"]]

        (letter,) = await until(died)
    finally:
        await damage(instance, "notifications", "alter table email_away rename to email_messages")
    grouped = await desk.json("dead", "list", "--service", "notifications")
    shown = await desk.run("dead", "show", str(letter["message_id"]))
    text = await desk.run("dead", "list")

    error = str(letter["error"])
    assert [group["error"] for group in grouped] == [error]
    assert "email_messages" in shown
    assert error in text
    line = ("dead", "redrive", "--service", "notifications", "--error", error)
    assert (await desk.json(*line, *WHY))["redriven"] == 1
    sent = "select 1 from email_messages where recipient = $1"
    await until(lambda: books.rows("notifications", sent, buyer.email))
    assert (await desk.json(*line, *WHY)) == {
        "redriven": 0, "remaining": 0, "too_old": 0, "unreadable": 0
    }  # fmt: skip


async def test_a_discarded_poison_message_stays_in_the_audit_trail(
    instance: Instance, desk: OperatorCli, books: InvariantChecker
) -> None:
    await allow_any_name(instance)
    poison = aio_pika.Message(b"not for you", message_id=str(new_id()), user_id="cart")
    await send(instance, "svc.cart", poison)

    async def dead() -> Any:
        return await desk.json("dead", "list", "--service", "cart", "--error", "Undeliverable")

    (letter,) = await until(dead)
    line = ("--service", "cart", "--id", letter["id"], *WHY)
    left = await desk.json("dead", "redrive", *line, "--force")
    gone = await desk.json("dead", "discard", *line, "--yes")
    (deed, *_) = await desk.json("audit", "--service", "cart", "--target", letter["id"])

    assert (left["redriven"], left["unreadable"]) == (0, 1)
    assert gone == {"discarded": 1}
    assert deed["before"]["error_detail"].startswith("bad envelope")


async def test_a_lost_read_model_is_replayed_from_the_log(
    instance: Instance, desk: OperatorCli, staff: Staff, books: InvariantChecker
) -> None:
    product = await staff.sell(stock=7)
    where = f"where variant_id = '{product.variant_id}'"
    await damage(instance, "cart", f"delete from stock_snapshots {where}")

    line = ("replay", "--service", "cart", "--from", "1h", "--subject", product.variant_id, *WHY)
    known = await desk.json(*line)
    forced = await desk.json(*line, "--force", "--yes")

    async def back() -> bool:
        found = await books.rows("cart", f"select available from stock_snapshots {where}")
        return [row["available"] for row in found] == [7]

    await until(back)
    assert known["replayed"] == 0 < known["known"]
    assert forced["replayed"] >= 1
    assert "republished" in await desk.run(
        "replay", "--service", "cart", "--from", str(forced["next_offset"]), *WHY
    )


async def test_the_doctor_sees_a_parked_message_and_the_operator_sends_it(
    instance: Instance, desk: OperatorCli, staff: Staff, buyer: Buyer, books: InvariantChecker
) -> None:
    assert {f["level"] for f in await desk.json("doctor")} <= {"ok", "warning"}
    order = await buyer.buys(await staff.sell(stock=3))
    await staff.ended(order["id"])
    await books.settle()
    await park_a_repeat(instance, books, order["id"])

    ill = await desk.json("doctor", code=1)
    (fault,) = [finding for finding in ill if finding["level"] == "fault"]
    text = await desk.run("outbox", "status")
    shown = await desk.json("outbox", "status", "--service", "orders")
    sent = await desk.json("outbox", "retry", "--service", "orders", *WHY)

    assert (fault["where"], "found no queue" in fault["detail"]) == ("orders", True)
    assert "no queue is bound" in text
    assert shown["orders"]["keys"][0]["parked"] == 1
    assert sent == {"unparked": 1}

    async def gone() -> bool:
        return (await desk.json("outbox", "status", "--service", "orders"))["orders"][
            "waiting"
        ] == 0

    await until(gone)


async def park_a_repeat(instance: Instance, books: InvariantChecker, order_id: str) -> None:
    """Let the outbox hold an event once more, parked; every consumer has handled its id already."""
    async with await aio_pika.connect(instance.broker_url()) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        log = await channel.get_queue("events.log", ensure=False)
        async with log.iterator(arguments={"x-stream-offset": "first"}) as messages:
            async for message in messages:
                await message.ack()
                names = message.headers
                if (names["cloudEvents:subject"], message.routing_key) == (
                    order_id, "orders.OrderConfirmed"
                ):  # fmt: skip
                    break
    row = (
        "insert into outbox (message_id, shard, subject, exchange, routing_key, headers, body, "
        "parked_at, last_error) values ($1, 0, $2, 'events', 'orders.OrderConfirmed', $3, $4, "
        "now(), 'no queue is bound for this routing key')"
    )
    headers = {key: value for key, value in names.items() if key.startswith("cloudEvents:")}
    connection = await asyncpg.connect(instance.dsn("orders", "postgres"))
    try:
        await connection.execute(
            row, headers["cloudEvents:id"], order_id, json.dumps(headers), message.body
        )
    finally:
        await connection.close()


async def test_an_administrator_makes_another_and_customers_may_do_nothing(
    instance: Instance,
    desk: OperatorCli,
    http: httpx.AsyncClient,
    buyer: Buyer,
    at_rest: InvariantChecker,
) -> None:
    email, password = f"{secrets.token_hex(5)}@example.com", f"{secrets.token_hex(12)} dandelions"
    desk.passwords["CARTWRIGHT_NEW_PASSWORD"] = password
    registered = await desk.refused("create-admin", email)
    assert "verify the address" in registered
    await verify(http, instance, email, password)
    made = await desk.json("create-admin", email)
    await buyer.sign_up()
    customer = OperatorCli(instance.url("gateway"), buyer.access_token)

    (deed,) = await desk.json("audit", "--service", "identity", "--target", made["id"])
    assert made["roles"] == ["admin", "customer"]
    assert (deed["action"], deed["before"]) == ("user.roles", {"roles": ["customer"]})
    again = OperatorCli(instance.url("gateway"), await sign_in(http, email, password))
    assert await again.json("saga", "list", "--limit", "1") is not None
    assert "ops:read" in await customer.refused("dead", "list")
    assert "orders:read" in await customer.refused("saga", "list")
    assert "ops:write" in await customer.refused("saga", "retry", str(new_id()), *WHY)
    assert "is an administrator" in await desk.run("create-admin", email)
    refused = await desk.refused("create-admin", buyer.email)
    assert "address_not_verified" in refused
