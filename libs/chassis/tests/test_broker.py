"""The message path on a real RabbitMQ: relay, consumer, retries, dead letters, order, drain."""

import asyncio
import json
from typing import Any
from uuid import UUID

import aio_pika
import pytest
from broker_harness import TIERS, BrokerHarness, order, take, until
from sample.service import bus

from chassis import outbox
from chassis.broker import TopologyMismatch
from chassis.http import Unreachable
from chassis.ids import new_id, utcnow
from chassis.messaging.linger import AdaptiveLinger
from chassis.messaging.relay import LOCK_SPACE, Relay
from chassis.messaging.subscription import subscribe
from contracts.envelope import Envelope
from contracts.inventory import ReserveStock, StockReleased, StockReserved
from contracts.message import Command
from contracts.payments import CancelPayment


async def test_a_command_comes_in_and_its_answer_goes_out(line: BrokerHarness) -> None:
    command = order()
    sent = await line.send(command)
    answer = await take(line.published)

    assert answer.routing_key == "inventory.StockReserved"
    assert answer.headers["cloudEvents:causationid"] == str(sent)
    assert answer.headers["cloudEvents:sequence"] == 1
    assert answer.user_id == "sample"
    assert StockReserved.decode(answer.body).order_id == command.order_id

    async def nothing_waits() -> bool:
        return not await line.harness.sql("select 1 from outbox")

    await until(nothing_waits)


async def test_a_hundred_commands_are_answered_once_each(line: BrokerHarness) -> None:
    commands = [order() for _ in range(100)]
    exchange = await line.as_user("orders")
    await asyncio.gather(*(line.send(c) for c in commands[:3]))
    for command in commands[3:]:
        envelope = Envelope(
            id=new_id(),
            source="/inventory",
            type=command.type_name(),
            subject=command.subject(),
            time=utcnow(),
            correlation_id=command.subject(),
            actor="t",
            traceparent="x",
        )
        raw = aio_pika.Message(command.encode(), headers={**envelope.headers()}, user_id="orders")
        await exchange.publish(raw, routing_key=command.routing_key())
    answered = [StockReserved.decode((await take(line.published)).body) for _ in commands]

    assert {a.order_id for a in answered} == {c.order_id for c in commands}


async def test_poison_is_retried_then_dead_while_its_batch_is_served(line: BrokerHarness) -> None:
    good = [order() for _ in range(5)]
    bad = order(666)
    for command in (*good[:2], bad, *good[2:]):
        await line.send(command)
    answered = {StockReserved.decode((await take(line.published)).body).order_id for _ in good}
    dead = await take(line.dead)

    assert answered == {command.order_id for command in good}
    assert dead.headers["x-attempts"] == len(TIERS) + 1
    assert dead.headers["x-error"] == "ValueError"
    assert dead.headers["x-sender"] == "orders"
    assert line.consumer.retried == len(TIERS)


async def test_a_peer_that_is_unavailable_costs_no_attempt(
    line: BrokerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 2 * len(TIERS)
    monkeypatch.setattr(bus.resources, "failure", Unreachable, raising=False)
    monkeypatch.setattr(bus.resources, "fails", failures, raising=False)
    await line.send(CancelPayment(operation_id=new_id(), order_id=new_id()))
    assert (await take(line.published)).routing_key == "payments.PaymentCancelled"

    assert line.consumer.retried == failures
    assert await line.dead.get(fail=False, no_ack=True) is None


@pytest.mark.parametrize("fault", ["json", "schema", "type", "sender", "envelope", "age"])
async def test_what_can_never_be_handled_is_dead_at_once(line: BrokerHarness, fault: str) -> None:
    command = order()
    match fault:
        case "json":
            await line.send(command, body=b"{not json")
        case "schema":
            await line.send(command, body=json.dumps({"order_id": 7}).encode())
        case "type":
            await line.send(command, headers={"cloudEvents:type": "cartwright.inventory.X.v9"})
        case "sender":
            await line.send(command, sender="cart")
        case "envelope":
            await line.send(command, headers={"cloudEvents:id": "not an id"})
        case "age":
            await line.send(command, message_id=UUID("01700000-0000-7000-8000-000000000000"))
    dead = await take(line.dead)

    assert dead.headers["x-error"] == "Undeliverable"
    assert dead.headers["x-attempts"] == 1
    assert await line.harness.sql("select * from jars") == []


async def test_an_unroutable_message_is_parked_and_blocks_no_other(line: BrokerHarness) -> None:
    await line.published.unbind("events", "#")
    async with line.harness.transaction() as tx:
        outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))

    async def parked() -> Any:
        return await line.harness.sql("select * from outbox where parked_at is not null")

    await until(parked)
    await line.published.bind("events", "#")
    await line.send(order())
    assert (await take(line.published)).routing_key == "inventory.StockReserved"
    await line.harness.sql("update outbox set parked_at = now() - interval '1 hour'")
    assert (await take(line.published)).routing_key == "inventory.StockReleased"


async def test_four_relays_keep_the_order_of_every_aggregate(line: BrokerHarness) -> None:
    relays = [
        Relay(line.harness.running.database, line.broker, "sample", batch=20, sweep_interval=0.1)
        for _ in range(3)
    ]
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    orders = [new_id() for _ in range(10)]
    for number in range(1, 31):
        async with line.harness.transaction() as tx:
            for order_id in orders:
                outbox.add(tx, StockReleased(order_id=order_id).with_sequence(number))
        for relay in relays:
            relay.wake({outbox.shard_of(str(order_id)) for order_id in orders})
    seen: dict[str, list[int]] = {}
    for _ in range(300):
        message = await take(line.published)
        seen.setdefault(str(message.headers["cloudEvents:subject"]), []).append(
            int(str(message.headers["cloudEvents:sequence"]))
        )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert all(numbers == list(range(1, 31)) for numbers in seen.values())


async def test_draining_finishes_what_is_in_flight(line: BrokerHarness) -> None:
    for _ in range(10):
        await line.send(order())
    await line.consumer.drain()
    handled = line.consumer.handled

    ((jars,),) = await line.harness.sql("select count(*) from jars")
    assert jars == handled
    assert not line.consumer.is_consuming()


async def test_a_missing_queue_is_named(line: BrokerHarness) -> None:
    with pytest.raises(TopologyMismatch, match=r"svc\.nowhere"):
        async with subscribe(line.broker, "svc.nowhere", 1, AdaptiveLinger()):
            pass


def test_commands_know_their_senders() -> None:
    assert issubclass(ReserveStock, Command)
    assert ReserveStock.senders == ("orders",)


async def test_a_relay_that_finds_every_shard_taken_waits_on_the_connection_it_has(
    line: BrokerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = line.harness.running.database
    passes: list[int | BaseException] = []
    whole = Relay._send_batch

    async def watched(self: Relay, shards: set[int]) -> int:
        try:
            passes.append(await whole(self, shards))
        except BaseException as error:
            passes.append(error)
            raise
        return 0

    monkeypatch.setattr(Relay, "_send_batch", watched)
    async with database.driver() as other:
        await other.execute(
            "select pg_advisory_lock($1, s) from generate_series(0, $2) s",
            LOCK_SPACE, outbox.SHARDS - 1,
        )  # fmt: skip
        async with database.transaction() as tx:
            outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))
        await until(lambda: len(passes) > 1)
        await other.execute("select pg_advisory_unlock_all()")
    assert (await take(line.published)).routing_key == "inventory.StockReleased"
    assert [each for each in passes if isinstance(each, BaseException)] == []
