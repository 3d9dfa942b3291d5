"""What an operator sees and does in one service, on a real database and a real broker."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aio_pika
import pytest
import pytest_asyncio
import topology
from broker_harness import TIERS, BrokerHarness, order, take, until
from sample.service import Jar, bus
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.ids import new_id, utcnow
from chassis.ops import fetching
from contracts.inventory import ReserveStock, StockReleased, StockReserved
from contracts.orders import OrderCancelled
from testkit.harness import Harness

OPS = "/v1/admin/ops/sample"
LONG_AGO = UUID("01700000-0000-7000-8000-000000000000")
WHY = "the test wants it"


class Operator:
    """An operator of the sample service."""

    def __init__(self, harness: Harness[Any]) -> None:
        self.id = new_id()
        self.client = harness.client
        self.headers = harness.signed_in(user_id=self.id, permissions=("ops:read", "ops:write"))

    async def get(self, path: str = "", **query: Any) -> Any:
        answer = await self.client.get(f"{OPS}{path}", params=query, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, **body: Any) -> Any:
        whole = {"reason": WHY, **body}
        answer = await self.client.post(f"{OPS}{path}", json=whole, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def operator(line: BrokerHarness) -> Operator:
    return Operator(line.harness)


@pytest_asyncio.fixture
async def log(line: BrokerHarness) -> AsyncIterator[None]:
    """The log of events, gone after the test."""
    stream = await topology.declare_log(line.channel)
    yield
    await stream.delete(if_unused=False, if_empty=False)


async def poisoned(line: BrokerHarness, number: int = 1) -> list[UUID]:
    """The ids of so many commands that end as dead letters."""
    sent = [await line.send(order(666)) for _ in range(number)]

    async def all_dead() -> bool:
        found = await line.channel.declare_queue("svc.sample.dead", passive=True)
        return found.declaration_result.message_count == number

    await until(all_dead)
    return sent


async def fetched(line: BrokerHarness, operator: Operator, number: int = 1) -> list[UUID]:
    """The ids of so many dead letters that are in the table."""
    sent = await poisoned(line, number)
    assert await operator.post("/dead-letters/fetch") == {"fetched": number, "in_queue": 0}
    return sent


async def cured(commands: list[ReserveStock], tx: AsyncSession) -> list[StockReserved]:
    """The sample's handler once it minds no number."""
    jars = [Jar(id=command.order_id, coins=command.lines[0].quantity) for command in commands]
    tx.add_all(jars)
    return [jar.record(StockReserved(order_id=jar.id, allocations=[])) for jar in jars]


async def test_dead_letters_are_listed_and_grouped_by_what_they_died_of(
    line: BrokerHarness, operator: Operator
) -> None:
    ids = await poisoned(line, 2)
    await line.send(order(), body=b"{not json")
    await until(lambda: _dead(operator, 3))

    groups = (await operator.get("/dead-letters/groups"))["groups"]
    listed = (await operator.get("/dead-letters", error="ValueError"))["items"]
    shown = await operator.get(f"/dead-letters/{ids[0]}")

    assert [(g["error"], g["count"]) for g in groups] == [("ValueError", 2), ("Undeliverable", 1)]
    assert {letter["message_id"] for letter in listed} == {str(each) for each in ids}
    assert shown["attempts"] == len(TIERS) + 1
    assert shown["sender"] == "orders"
    assert shown["body"]["lines"][0]["quantity"] == 666
    assert shown["error_detail"] == "ValueError('poison')"


async def _dead(operator: Operator, number: int) -> bool:
    await operator.post("/dead-letters/fetch")
    return len((await operator.get("/dead-letters"))["items"]) == number


async def test_a_redriven_letter_reaches_its_one_queue_with_its_id(
    line: BrokerHarness, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (message_id,) = await fetched(line, operator)
    spy = await line.channel.declare_queue(exclusive=True)
    for exchange in ("commands", "events"):
        await spy.bind(exchange, "#")
    handlers: Any = bus.batch_handlers
    monkeypatch.setitem(handlers, ReserveStock, cured)

    done = await operator.post("/dead-letters/redrive", error="ValueError")
    answer = await take(line.published)

    assert done == {"redriven": 1, "remaining": 0, "too_old": 0, "unreadable": 0}
    assert answer.headers["cloudEvents:causationid"] == str(message_id)
    assert await line.harness.sql("select message_id from inbox") == [(message_id,)]
    assert (await take(spy)).routing_key == "inventory.StockReserved"
    assert await spy.get(fail=False) is None
    assert await _dead(operator, 0)


async def test_a_letter_that_dies_again_comes_back_after_all_its_attempts(
    line: BrokerHarness, operator: Operator
) -> None:
    await fetched(line, operator)
    await operator.post("/dead-letters/redrive", everything=True)
    await until(lambda: _dead(operator, 1))
    (letter,) = (await operator.get("/dead-letters"))["items"]
    shown = await operator.get(f"/dead-letters/{letter['id']}")

    assert shown["attempts"] == len(TIERS) + 1
    assert shown["headers"]["x-redriven"] == 1
    assert shown["sender"] == "orders"


async def test_every_deed_is_in_the_audit_trail_and_stays_there(
    line: BrokerHarness, operator: Operator
) -> None:
    (message_id,) = await fetched(line, operator)
    await operator.post("/dead-letters/discard", error="ValueError", reason="it is obsolete")
    (entry,) = (await operator.get("/audit", target=str(message_id)))["items"]

    assert entry["actor"] == f"user:{operator.id}"
    assert entry["action"] == "dead_letter.discard"
    assert entry["reason"] == "it is obsolete"
    assert entry["before"]["error"] == "ValueError"
    assert entry["request_id"]
    for statement in ("update audit_entries set reason = 'x'", "delete from audit_entries"):
        with pytest.raises(Exception, match="never changed"):
            await line.harness.sql(statement)


async def test_what_is_older_than_the_inbox_is_left_unless_forced(
    line: BrokerHarness, operator: Operator
) -> None:
    command = order()
    await line.send(command, message_id=LONG_AGO)
    await until(lambda: _dead(operator, 1))

    refused = await operator.post("/dead-letters/redrive", everything=True)
    forced = await operator.post("/dead-letters/redrive", everything=True, force=True)
    answer = await take(line.published)

    assert (refused["redriven"], refused["too_old"]) == (0, 1)
    assert forced["redriven"] == 1
    assert StockReserved.decode(answer.body).order_id == command.order_id
    assert await line.harness.sql("select message_id from inbox") == [(LONG_AGO,)]


async def test_what_has_no_envelope_can_only_be_discarded(
    line: BrokerHarness, operator: Operator
) -> None:
    await line.send(order(), headers={"cloudEvents:id": "not an id"})
    await until(lambda: _dead(operator, 1))

    redriven = await operator.post("/dead-letters/redrive", everything=True, force=True)
    discarded = await operator.post("/dead-letters/discard", everything=True)

    assert (redriven["redriven"], redriven["unreadable"]) == (0, 1)
    assert discarded == {"discarded": 1}


async def test_looking_moves_nothing_and_fetching_moves_a_part(
    line: BrokerHarness, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_FETCHED", 2)
    monkeypatch.setattr(fetching, "BATCH_SIZE", 1)
    ids = await poisoned(line, 3)
    assert (await operator.get("/dead-letters"))["items"] == []
    assert (await operator.get("/dead-letters/groups"))["groups"] == []
    answer = await operator.client.get(f"{OPS}/dead-letters/{ids[0]}", headers=operator.headers)
    assert answer.status_code == 404
    (dead,) = [q for q in (await operator.get())["queues"] if q["name"].endswith(".dead")]
    assert dead["ready"] == 3

    parts = [await operator.post("/dead-letters/fetch") for _ in range(3)]
    assert [part["fetched"] for part in parts] == [2, 1, 0]
    assert [part["in_queue"] for part in parts] == [1, 0, 0]
    assert len((await operator.get("/dead-letters"))["items"]) == 3


async def test_a_letter_fetched_twice_is_listed_once(
    line: BrokerHarness, operator: Operator
) -> None:
    await poisoned(line)
    letter = await take(line.dead)
    for _ in range(2):
        again = aio_pika.Message(letter.body, headers=letter.headers, message_id=letter.message_id)
        await line.channel.default_exchange.publish(again, routing_key="svc.sample.dead")

    assert await _dead(operator, 1)


async def test_a_redrive_needs_a_selection(line: BrokerHarness, operator: Operator) -> None:
    body = {"reason": WHY}
    answer = await line.harness.client.post(
        f"{OPS}/dead-letters/redrive", json=body, headers=operator.headers
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "filter_missing")


async def test_reading_and_changing_need_their_permissions(line: BrokerHarness) -> None:
    client, body = line.harness.client, {"reason": WHY, "everything": True}
    reads = line.harness.signed_in(permissions=("ops:read",))
    customer = line.harness.signed_in()

    assert (await client.get(f"{OPS}/dead-letters")).status_code == 401
    for path in ("", "/outbox", "/audit", "/dead-letters", "/dead-letters/groups"):
        assert (await client.get(f"{OPS}{path}", headers=customer)).status_code == 403
        assert (await client.get(f"{OPS}{path}", headers=reads)).status_code == 200
    for path in ("/dead-letters/redrive", "/dead-letters/discard", "/outbox/retry", "/replay"):
        answer = await client.post(f"{OPS}{path}", json=body, headers=reads)
        assert answer.status_code == 403


async def ended(line: BrokerHarness, number: int) -> list[UUID]:
    """The orders of some OrderCancelled that the sample has handled."""
    orders = [new_id() for _ in range(number)]
    for order_id in orders:
        event = OrderCancelled(
            order_id=order_id,
            order_number="1",
            customer_id=None,
            cart_id=new_id(),
            reason="timed_out",
            cancelled_at=utcnow(),
        )
        await line.send(event.with_sequence(1))
    await until(lambda: _coins(line, dict.fromkeys(orders, 1)))
    return orders


async def _coins(line: BrokerHarness, wanted: dict[UUID, int]) -> bool:
    rows = await line.harness.sql("select id, coins from jars")
    return {row.id: row.coins for row in rows} == wanted


async def test_a_replay_brings_back_what_was_lost_and_repeats_nothing(
    line: BrokerHarness, operator: Operator, log: None
) -> None:
    began = utcnow()
    orders = await ended(line, 3)
    # The second order's event is lost together with its effect, as by a restored backup.
    await line.harness.sql("delete from jars where id = :id", id=orders[1])
    lost = "select message_id from inbox order by message_id limit 1 offset 1"
    await line.harness.sql(f"delete from inbox where message_id = ({lost})")

    done = await operator.post("/replay", from_time=began.isoformat())
    await until(lambda: _coins(line, dict.fromkeys(orders, 1)))

    assert (done["replayed"], done["known"], done["finished"]) == (1, 2, True)
    again = await operator.post("/replay", from_offset=done["next_offset"])
    assert (again["read"], again["replayed"], again["finished"]) == (0, 0, True)


@pytest.mark.parametrize("moment", ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00"])
async def test_a_replay_from_before_any_message_is_refused(
    line: BrokerHarness, moment: str
) -> None:
    """AMQP counts the seconds of a time from 1970 on."""
    answer = await line.harness.client.post(
        f"{OPS}/replay",
        json={"reason": WHY, "from_time": moment},
        headers=line.harness.signed_in(permissions=("ops:write",)),
    )
    assert answer.status_code == 422


async def test_a_forced_replay_lets_handlers_run_again_and_goes_on_where_it_stopped(
    line: BrokerHarness, operator: Operator, log: None
) -> None:
    orders = await ended(line, 3)
    first = await operator.post("/replay", from_offset=0, limit=2, force=True)
    second = await operator.post("/replay", from_offset=first["next_offset"], force=True)

    assert (first["replayed"], first["finished"]) == (2, False)
    assert (second["replayed"], second["finished"]) == (1, True)
    await until(lambda: _coins(line, dict.fromkeys(orders, 2)))


async def test_the_outbox_shows_parked_messages_and_retries_them(
    line: BrokerHarness, operator: Operator
) -> None:
    await line.published.unbind("events", "#")
    async with line.harness.transaction() as tx:
        outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))

    async def parked() -> Any:
        return (await operator.get("/outbox"))["parked"]

    await until(parked)
    (key,) = (await operator.get("/outbox"))["keys"]
    await line.published.bind("events", "#")
    assert await operator.post("/outbox/retry") == {"unparked": 1}

    assert key["routing_key"] == "inventory.StockReleased"
    assert "no queue is bound" in key["last_error"]
    assert (await take(line.published)).routing_key == "inventory.StockReleased"


async def test_the_status_of_a_service(line: BrokerHarness, operator: Operator) -> None:
    await poisoned(line)

    async def counted() -> Any:
        found = await operator.get()
        return found if found["queues"][0]["consumers"] else None

    found = await until(counted)
    by_name = {queue["name"]: queue["ready"] for queue in found["queues"]}

    assert found["revision"] == found["newest_revision"] == "0003"
    assert by_name["svc.sample.dead"] == 1
    assert found["outbox"] == {"waiting": 0, "parked": 0, "oldest_seconds": None, "keys": []}
    assert found["last_inbox_day"] > utcnow().date().isoformat()


async def test_without_a_broker_the_routes_answer_503(sample: Harness[Any]) -> None:
    operator = Operator(sample)
    answer = await sample.client.post(f"{OPS}/dead-letters/fetch", headers=operator.headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
    await asyncio.gather(*(operator.get(path) for path in ("/outbox", "/audit")))
