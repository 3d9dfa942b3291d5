"""Spans of requests, messages and calls: each knows its parent, and none is made unasked."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from broker_harness import BrokerHarness, order, take, until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from chassis import context, outbox, tracing
from chassis.context import Context
from chassis.http import Http, Unreachable
from chassis.ids import new_id
from chassis.instrumentation import Sending
from chassis.otlp import Otlp
from chassis.testing import Harness
from chassis.tracing import Kind, Span
from contracts.inventory import ReleaseStock, StockReleased


@dataclass
class RecordingExporter:
    """An exporter that records its spans."""

    spans: list[Span] = field(default_factory=list)

    def add(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Nothing to send."""

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def recorded() -> Iterator[RecordingExporter]:
    exporter = RecordingExporter()
    tracing.set_exporter(exporter)
    yield exporter
    tracing.set_exporter(None)


PROCESS_RESERVE = "process commands:inventory.ReserveStock:svc.sample"


async def test_a_batch_links_its_messages_and_each_has_a_span_of_its_own(
    sample: Harness[Any], recorded: RecordingExporter
) -> None:
    commands = [order(), order(), order()]
    await sample.deliver(*commands, ReleaseStock(operation_id=new_id(), order_id=new_id()))
    [batch] = recorded.named("process svc.sample")
    handled = recorded.named(PROCESS_RESERVE)

    assert batch.attributes["messaging.batch.message_count"] == 4
    assert [span.parent for span in handled] == list(batch.links[:3])
    assert len(set(batch.links)) == 4
    assert len({span.traceparent for span in handled}) == 3
    assert all(list(span.links) == [batch.traceparent] for span in handled)
    orders = [span.attributes["messaging.message.conversation_id"] for span in handled]
    assert orders == [str(command.order_id) for command in commands]
    stored = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox order by seq")
    assert [row[0] for row in stored][:3] == [span.traceparent for span in handled]
    assert {span.kind for span in recorded.spans} == {Kind.CONSUMER}


async def test_a_publish_span_is_the_child_of_its_producer_and_the_parent_of_its_consumer(
    line: BrokerHarness, recorded: RecordingExporter
) -> None:
    await line.send(order())
    answer = await take(line.published)
    [sent] = await until(lambda: recorded.named("send events:inventory.StockReserved"))
    [handled] = recorded.named(PROCESS_RESERVE)
    assert sent.parent == handled.traceparent
    assert answer.headers["cloudEvents:traceparent"] == sent.traceparent
    assert sent.kind is Kind.PRODUCER
    assert sent.start <= sent.end


async def test_a_request_is_a_span_with_its_route_and_actor(
    sample: Harness[Any], recorded: RecordingExporter
) -> None:
    parent, user = context.new_traceparent(), new_id()
    headers = {**sample.signed_in(user_id=user), "Idempotency-Key": "k", "traceparent": parent}
    made = await sample.client.post("/v1/jars", json={"name": "a", "coins": 1}, headers=headers)
    await sample.client.get("/readyz")
    [span] = recorded.spans
    assert (span.name, span.kind, span.parent) == ("POST /v1/jars", Kind.SERVER, parent)
    assert span.traceparent.split("-")[1] == parent.split("-")[1]
    assert span.attributes["cartwright.actor"] == f"user:{user}"
    assert span.attributes["cartwright.request_id"] == made.headers["x-request-id"]
    assert span.attributes["http.response.status_code"] == 201
    [(stored,)] = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox")
    assert stored == span.traceparent


async def test_an_error_is_recorded(sample: Harness[Any], recorded: RecordingExporter) -> None:
    with pytest.raises(ValueError, match="poison"):
        await sample.deliver(order(666))
    assert [span.error for span in recorded.spans] == ["ValueError", "ValueError"]


async def test_a_failed_call_is_a_span_too(recorded: RecordingExporter) -> None:
    parent = context.new_traceparent()
    client = Http(timeout=1)
    with context.use_context(Context(traceparent=parent)), pytest.raises(Unreachable):
        await client.request("GET", "http://127.0.0.1:9/a?secret=canary")
    await client.close()
    [span] = recorded.spans
    assert (span.kind, span.parent, span.error) == (Kind.CLIENT, parent, "Unreachable")
    assert span.attributes["url.path"] == "/a"
    assert "canary" not in repr(span)


def test_a_span_holds_no_secret(recorded: RecordingExporter) -> None:
    attributes: dict[str, Any] = {
        "url.path": "/orders/ord_canary7890123456789012",
        "http.response.status_code": 200,
    }
    parent = context.new_traceparent()
    tracing.record(
        "a", Kind.CLIENT, parent, None, took=0, attributes=attributes, error="refused ?token=canary"
    )
    [span] = recorded.spans
    assert span.attributes == {"url.path": "/orders/[token]", "http.response.status_code": 200}
    assert span.error == "refused ?token=[token]"


async def test_work_without_a_cause_begins_a_trace(
    sample: Harness[Any], recorded: RecordingExporter
) -> None:
    async with sample.transaction() as tx:
        outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))
    [(stored,)] = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox")
    [span] = recorded.spans
    assert (span.name, span.parent, span.traceparent) == (
        "publish inventory.StockReleased",
        None,
        stored,
    )


async def test_a_trace_that_is_not_sampled_is_carried_on_and_not_recorded(
    sample: Harness[Any], recorded: RecordingExporter
) -> None:
    unsampled = context.new_traceparent()[:-2] + "00"
    await sample.client.get("/v1/jars", headers={"traceparent": unsampled})
    assert recorded.spans == []
    with context.use_context(Context(traceparent=unsampled)):
        async with sample.transaction() as tx:
            outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))
    [(stored,)] = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox")
    assert stored == unsampled


def test_unrecorded_a_message_is_sent_as_it_is() -> None:
    row = {"headers": {"cloudEvents:traceparent": context.new_traceparent()}}
    with Sending(row) as sending:
        assert sending.headers is row["headers"]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes spans as a collector does."""

    taken: list[Any] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def test_a_row_without_an_envelope_is_sent_all_the_same(recorded: RecordingExporter) -> None:
    row = {"exchange": "x", "routing_key": "y", "message_id": new_id(), "headers": {}}
    with Sending(row):
        pass
    [span] = recorded.named("send x:y")
    assert span.parent is None


def test_spans_reach_a_collector_as_they_are() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tracing.configure(Otlp(f"http://127.0.0.1:{server.server_address[1]}/", "sample"), ratio=0)
    try:
        assert context.new_traceparent().endswith("-00")
        own, parent, other = (f"00-{n * 32}-{n * 16}-01" for n in "abc")
        tracing.record(
            "send x", Kind.PRODUCER, own, parent,
            took=1.5, attributes={"a": 1}, links=[other], error="Lost",
        )  # fmt: skip
        tracing.record("unsampled", Kind.SERVER, own[:-2] + "00", None, took=0, attributes={})
        tracing.close(timeout=60)
    finally:
        context.set_sampling_ratio(1.0)
        server.shutdown()
        server.server_close()
    [(path, request)] = Receiver.taken
    [resource] = request.resource_spans
    [span] = resource.scope_spans[0].spans
    resource_attributes = {
        each.key: each.value.string_value for each in resource.resource.attributes
    }
    assert (path, resource_attributes["service.name"]) == ("/v1/traces", "sample")
    assert (span.name, span.trace_id.hex(), span.span_id.hex()) == ("send x", "a" * 32, "a" * 16)
    assert (span.parent_span_id.hex(), span.links[0].span_id.hex()) == ("b" * 16, "c" * 16)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_500_000_000
    assert (span.kind, span.status.code, span.status.message) == (4, 2, "Lost")
    assert not tracing.is_on()


def test_a_collector_that_is_away_does_not_delay_the_process() -> None:
    tracing.configure(Otlp("http://127.0.0.1:9", "sample"))
    tracing.record("a", Kind.SERVER, context.new_traceparent(), None, took=0, attributes={})
    tracing.close(timeout=0.1)
    assert not tracing.is_on()


def test_without_a_collector_the_sdk_is_not_even_loaded() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import sample.service; from chassis import tracing; "
        "tracing.configure(None); "
        "print(sorted(m for m in sys.modules if m.startswith('opentelemetry.sdk')))"
    )
    folder = __file__.rpartition("/")[0]
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"
