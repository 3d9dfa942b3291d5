"""The metrics of a service: requests, messages, the outbox, and what cannot be read."""

from typing import Any

from broker_harness import TIERS, BrokerHarness, order, take, until

from chassis import outbox
from chassis.driver import Sql
from chassis.gauges import DatabaseGauge, DatabaseGauges
from chassis.ids import new_id
from contracts.inventory import StockReleased
from testkit.harness import Harness
from testkit.metrics_page import MetricsPage


async def scrape(sample: Harness[Any]) -> MetricsPage:
    return MetricsPage.of(await sample.client.get("/metrics"))


async def test_requests_are_counted_by_the_template_of_their_route(sample: Harness[Any]) -> None:
    name = "http_server_request_duration_seconds_count"
    put = {"http_request_method": "PUT", "http_route": "/v1/jars/{jar_id}"}
    ops = {"http_request_method": "GET", "http_route": "/v1/admin/ops/sample/outbox"}
    lost = {"http_request_method": "_OTHER", "http_route": "unmatched"}
    before = await scrape(sample)
    body = {"name": "a", "coins": 1}
    await sample.client.put(f"/v1/jars/{new_id()}", json=body, headers={"If-Match": '"1"'})
    await sample.client.put(f"/v1/jars/{new_id()}", json=body, headers={"If-Match": '"1"'})
    await sample.client.get("/v1/admin/ops/sample/outbox")
    await sample.client.request("GREET", "/nowhere")
    after = await scrape(sample)

    def more(labels: dict[str, str], status: str) -> float:
        labels = {**labels, "http_response_status_code": status}
        return after(name, **labels) - before(name, **labels)

    assert more(put, "404") == 2
    assert more(ops, "401") == 1
    assert more(lost, "404") == 1
    assert more({"http_request_method": "GET", "http_route": "/metrics"}, "200") == 0


async def test_every_end_of_a_message_is_counted(line: BrokerHarness) -> None:
    name, message = "messaging_client_consumed_messages_total", "inventory.ReserveStock"
    before = await scrape(line.harness)
    command = order()
    message_id = await line.send(command)
    await take(line.published)
    await line.send(command, message_id=message_id)
    await line.send(order(666))
    await take(line.dead)

    async def more(outcome: str) -> float:
        after = await scrape(line.harness)
        labels = {"message": message, "outcome": outcome}
        return after(name, **labels) - before(name, **labels)

    async def repeated() -> bool:
        return await more("repeated") == 1

    await until(repeated)
    assert await more("handled") == 1
    assert await more("retried") == len(TIERS)
    assert await more("dead") == 1
    after = await scrape(line.harness)
    for counted, labels in (
        ("messaging_process_duration_seconds_count", {"message": message, "outcome": "failed"}),
        ("cartwright_message_age_seconds_count", {"message": message}),
        ("cartwright_messages_committed_total", {"message": "inventory.StockReserved"}),
        ("messaging_client_sent_messages_total", {"outcome": "confirmed"}),
    ):
        assert after(counted, **labels) > before(counted, **labels), counted


async def test_a_stranger_cannot_add_names(line: BrokerHarness) -> None:
    before = await scrape(line.harness)
    await line.send(order(), headers={"cloudEvents:type": "cartwright.inventory.Made_up.v9"})
    await take(line.dead)
    labels = {"message": "unknown", "outcome": "dead"}
    after = await scrape(line.harness)
    name = "messaging_client_consumed_messages_total"
    assert after(name, **labels) == before(name, **labels) + 1
    assert "Made_up" not in (await line.harness.client.get("/metrics")).text


async def test_the_outbox_is_seen_to_grow_old(sample: Harness[Any]) -> None:
    empty = await scrape(sample)
    assert empty("cartwright_outbox_messages", state="waiting") == 0
    assert empty("cartwright_outbox_oldest_seconds") == 0
    async with sample.transaction() as tx:
        outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))
        outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))
    await sample.sql("update outbox set created_at = now() - interval '1 hour'")
    await sample.sql(
        "update outbox set parked_at = now() where seq = (select min(seq) from outbox)"
    )
    grown = await scrape(sample)
    assert grown("cartwright_outbox_messages", state="waiting") == 1
    assert grown("cartwright_outbox_messages", state="parked") == 1
    assert 3600 <= grown("cartwright_outbox_oldest_seconds") < 3700
    assert grown("cartwright_ready") == 1


async def test_what_cannot_be_read_is_counted_and_hides_nothing_else(sample: Harness[Any]) -> None:
    fine = DatabaseGauge("fine", "It works.", Sql("select 'b' as side, 2 as value"), ("side",))
    broken = DatabaseGauge("broken", "It does not.", Sql("select 1 / 0 as value"))
    gauges = DatabaseGauges(sample.running.database, [fine, broken])
    before = (await scrape(sample))("cartwright_reading_failures_total", reading="broken")
    found = await gauges.families()
    after = (await scrape(sample))("cartwright_reading_failures_total", reading="broken")
    assert [(each.name, each.samples[0].labels, each.samples[0].value) for each in found] == [
        ("fine", {"side": "b"}, 2.0)
    ]
    assert after == before + 1


async def test_a_costly_answer_is_believed_for_its_time(sample: Harness[Any]) -> None:
    counted = Sql("select nextval('counted') as value")
    await sample.sql("create sequence counted")
    costly = DatabaseGauges(
        sample.running.database, [DatabaseGauge("a", "A.", counted, every=3600)]
    )
    eager = DatabaseGauges(sample.running.database, [DatabaseGauge("a", "A.", counted)])
    assert [(await costly.families())[0].samples[0].value for _ in range(3)] == [1, 1, 1]
    assert [(await eager.families())[0].samples[0].value for _ in range(2)] == [2, 3]
    await sample.sql("drop sequence counted")
