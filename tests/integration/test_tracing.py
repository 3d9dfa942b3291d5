"""One checkout is one trace, from the gateway to the provider and the last consumer."""

import re
from collections.abc import Iterator

import asyncpg
import pytest

from checkout_trace import Trace
from collector import Collector, collecting
from invariants import InvariantChecker
from shopfloor import Buyer, Staff, until
from suite.instance import Instance

CUT = """
create function cut_trace() returns trigger language plpgsql as $$
begin
  new.headers = jsonb_set(new.headers, '{cloudEvents:traceparent}', to_jsonb(
    '00-' || md5(new.message_id::text) || '-' || left(md5(new.subject), 16) || '-01'));
  return new;
end $$;
create trigger cut_trace before insert on outbox for each row execute function cut_trace();
"""
REPAIRED = "drop trigger cut_trace on outbox; drop function cut_trace();"


@pytest.fixture
def collector(instance: Instance) -> Iterator[Collector]:
    with collecting(instance.environment.ports["collector"]) as found:
        yield found


async def test_a_checkout_is_one_connected_trace(
    instance: Instance, collector: Collector, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=5)
    trace = Trace(collector, buyer)
    order = await buyer.buys(product, 1)
    del buyer.http.headers["traceparent"]
    await at_rest.settle()

    async def whole() -> bool:
        return not trace.faults()

    try:
        await until(whole)
    except AssertionError:
        assert trace.faults() == [], trace.spans
    spans = trace.spans
    assert len({span.service for span in spans}) >= 7
    assert len({span.id for span in spans}) == len(spans)
    conversations = {span.attributes.get("messaging.message.conversation_id") for span in spans}
    assert order["id"] in conversations
    [placed] = [span for span in spans if span.name == "POST /v1/orders"]
    assert placed.attributes["cartwright.order"] == order["id"]

    sent = {span.id for span in spans if span.name.startswith("send ")}
    handled = [span for span in spans if re.match("process .*:.*:svc", span.name)]
    assert {span.parent for span in handled} <= sent
    batches = {
        span.id: span
        for span in collector.spans
        if span.attributes.get("messaging.batch.message_count")
    }
    linked = {link for span in batches.values() for link in span.links}
    alone = {"payments.CollectPayment"}  # calls the provider, so it is in no batch
    in_batches = [
        span
        for span in handled
        if span.attributes["messaging.rabbitmq.destination.routing_key"] not in alone
    ]
    assert in_batches
    for span in in_batches:
        assert span.parent in linked
        assert [link in batches for link in span.links] == [True], span


async def test_a_trace_that_is_cut_at_the_outbox_is_seen(
    instance: Instance, collector: Collector, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=5)
    trace = Trace(collector, buyer)
    connection = await asyncpg.connect(instance.dsn("orders", "postgres"))
    await connection.execute(CUT)
    try:
        await buyer.buys(product, 1)
        await at_rest.settle()
    finally:
        await connection.execute(REPAIRED)
        await connection.close()
    del buyer.http.headers["traceparent"]

    async def begun() -> bool:
        return any(span.name == "POST /v1/orders" for span in trace.spans)

    await until(begun)
    found = trace.faults()
    assert "inventory has no span `process commands:inventory.ReserveStock:svc.inventory`" in found
    orphans = {span.trace for span in collector.spans if span.service == "inventory"}
    assert orphans
    assert trace.id not in orphans
