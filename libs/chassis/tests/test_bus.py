"""The bus: inbox, batches, answers, record → call → finish."""

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from chassis.bus import runs
from chassis.ids import new_id
from chassis.messaging.incoming import Delivery
from contracts.inventory import ReleaseStock, ReserveStock, StockReleased, StockReserved, WantedLine
from contracts.payments import CancelPayment, PaymentCancelled
from testkit.harness import Harness


def order(quantity: int = 1) -> ReserveStock:
    line = WantedLine(line_id=new_id(), variant_id=new_id(), quantity=quantity)
    return ReserveStock(operation_id=new_id(), order_id=new_id(), lines=[line])


async def test_a_message_delivered_thrice_has_one_effect(sample: Harness[Any]) -> None:
    command, message_id = order(), new_id()
    for _ in range(3):
        await sample.deliver(command, message_id=message_id)

    assert len(await sample.published(StockReserved)) == 1
    assert len(await sample.sql("select * from jars")) == 1


async def test_a_batch_is_one_transaction_with_an_answer_each(sample: Harness[Any]) -> None:
    commands = [order(), order(), order()]
    await sample.deliver(*commands)

    answers = await sample.published(StockReserved)
    assert [a.order_id for a in answers] == [c.order_id for c in commands]
    rows = await sample.sql(
        "select headers->>'cloudEvents:correlationid', headers->>'cloudEvents:causationid' "
        "from outbox order by seq"
    )
    assert [row[0] for row in rows] == [str(c.order_id) for c in commands]
    assert len({row[1] for row in rows}) == 3


async def test_a_poisoned_batch_leaves_nothing(sample: Harness[Any]) -> None:
    with pytest.raises(ValueError, match="poison"):
        await sample.deliver(order(), order(666))

    assert await sample.published() == []
    assert await sample.sql("select * from inbox") == []


async def test_an_external_call_is_repeated_until_it_is_recorded(sample: Harness[Any]) -> None:
    sample.running.resources.calls, sample.running.resources.fails = 0, 1
    command, message_id = CancelPayment(operation_id=new_id(), order_id=new_id()), new_id()
    with pytest.raises(TimeoutError):
        await sample.deliver(command, message_id=message_id)
    assert await sample.published() == []

    await sample.deliver(command, message_id=message_id)
    await sample.deliver(command, message_id=message_id)

    assert len(await sample.published(PaymentCancelled)) == 1
    assert sample.running.resources.calls == 2


async def test_an_answer_known_already_needs_no_call(sample: Harness[Any]) -> None:
    sample.running.resources.calls = 0
    order_id = new_id()
    async with sample.transaction() as tx:
        await tx.execute(text("insert into jars (id, coins) values (:id, -1)"), {"id": order_id})
    await sample.deliver(CancelPayment(operation_id=new_id(), order_id=order_id))
    assert sample.running.resources.calls == 0


def test_runs_never_move_two_messages_of_one_order_past_each_other(
    sample: Harness[Any],
) -> None:
    first, second = order(), order()
    late = ReleaseStock(operation_id=new_id(), order_id=first.order_id)
    deliveries = [Delivery(m, sample._envelope(m, None)) for m in (first, late, second)]
    assert [[d.message for d in run] for run in runs(deliveries)] == [[first, second], [late]]


async def test_the_inbox_knows_how_far_back_it_remembers(sample: Harness[Any]) -> None:
    from chassis import inbox
    from chassis.ids import utcnow

    async with sample.transaction() as tx:
        await inbox.roll_partitions(tx, 3)
        oldest = await inbox.oldest(tx)
    milliseconds = oldest.int >> 80  # RFC 9562, section 5.7
    assert 3 <= utcnow().timestamp() / 86400 - milliseconds / 86_400_000 < 4


async def test_an_event_without_a_number_is_refused(sample: Harness[Any]) -> None:
    from chassis import outbox

    with pytest.raises(ValueError, match="has no sequence"):
        async with sample.transaction() as tx:
            outbox.add(tx, StockReleased(order_id=new_id()))


async def test_connections_that_the_server_closed_are_replaced_unnoticed(
    sample: Harness[Any],
) -> None:
    await sample.sql("select 1")
    ((pid,),) = await sample.sql("select pg_backend_pid()")
    killer = await asyncpg.connect(sample.running.settings.database_url.replace("+asyncpg", ""))
    await killer.fetch("select pg_terminate_backend($1)", pid)
    while await killer.fetchval("select count(*) from pg_stat_activity where pid = $1", pid):  # noqa: ASYNC110  (the server sends no notification)
        await asyncio.sleep(0.01)
    await killer.close()
    (idle,) = sample.running.database.pool._idle
    async with asyncio.timeout(10):
        while not idle.is_closed:  # noqa: ASYNC110  (the event loop has not read the end yet)
            await asyncio.sleep(0.01)
    assert [tuple(row) for row in await sample.sql("select 1")] == [(1,)]
