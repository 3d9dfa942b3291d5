"""Spans of requests, messages and calls: each knows its parent, and none is made unasked."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from broker_harness import BrokerHarness, order, take, until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
)

from chassis import context, instrumentation, otlp, outbox, tracing
from chassis.context import Context, remote_span
from chassis.http import Http, Unreachable
from chassis.ids import new_id
from chassis.per_service import use_service
from contracts.inventory import ReleaseStock, StockReleased
from testkit.harness import Harness, new_traceparent


class Recorded(InMemorySpanExporter):
    """The spans that ended."""

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    provider, recorded = TracerProvider(shutdown_on_exit=False), Recorded()
    provider.add_span_processor(SimpleSpanProcessor(recorded))
    tracing.tracer.set(provider.get_tracer("tests"))
    yield recorded
    tracing.tracer.set(tracing.UNRECORDED)


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def traceparent_of(span: SpanContext | None) -> str:
    assert span is not None
    return context.traceparent_of(NonRecordingSpan(span))


PROCESS_RESERVE = "process commands:inventory.ReserveStock:svc.sample"


async def test_a_batch_links_its_messages_and_each_has_a_span_of_its_own(
    recorded: Recorded, sample: Harness[Any]
) -> None:
    commands = [order(), order(), order()]
    await sample.deliver(*commands, ReleaseStock(operation_id=new_id(), order_id=new_id()))
    [batch] = recorded.named("process svc.sample")
    handled = recorded.named(PROCESS_RESERVE)

    assert attributes_of(batch)["messaging.batch.message_count"] == 4
    senders = [link.context for link in batch.links]
    assert batch.parent == senders[0]
    assert [span.parent for span in handled] == senders[:3]
    assert len({sender.trace_id for sender in senders}) == 4
    assert len({span.context.span_id for span in handled}) == 3
    assert all([link.context for link in span.links] == [batch.context] for span in handled)
    orders = [attributes_of(span)["messaging.message.conversation_id"] for span in handled]
    assert orders == [str(command.order_id) for command in commands]
    stored = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox order by seq")
    assert [row[0] for row in stored][:3] == [traceparent_of(span.context) for span in handled]
    assert {span.kind for span in recorded.spans} == {SpanKind.CONSUMER}


async def test_a_publish_span_is_the_child_of_its_producer_and_the_parent_of_its_consumer(
    recorded: Recorded, line: BrokerHarness
) -> None:
    await line.send(order())
    answer = await take(line.published)
    [sent] = await until(lambda: recorded.named("send events:inventory.StockReserved"))
    [handled] = recorded.named(PROCESS_RESERVE)
    assert traceparent_of(sent.parent) == traceparent_of(handled.context)
    assert answer.headers["cloudEvents:traceparent"] == traceparent_of(sent.context)
    assert sent.kind is SpanKind.PRODUCER
    assert sent.start_time <= sent.end_time


async def test_a_request_is_a_span_with_its_route_and_actor(
    recorded: Recorded, sample: Harness[Any]
) -> None:
    parent, user = new_traceparent(), new_id()
    headers = {**sample.signed_in(user_id=user), "Idempotency-Key": "k", "traceparent": parent}
    made = await sample.client.post("/v1/jars", json={"name": "a", "coins": 1}, headers=headers)
    await sample.client.get("/readyz")
    [span] = recorded.spans
    assert (span.name, span.kind) == ("POST /v1/jars", SpanKind.SERVER)
    assert traceparent_of(span.parent) == parent
    assert attributes_of(span)["cartwright.actor"] == f"user:{user}"
    assert attributes_of(span)["cartwright.request_id"] == made.headers["x-request-id"]
    assert attributes_of(span)["http.response.status_code"] == 201
    [(stored,)] = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox")
    assert stored == traceparent_of(span.context)


async def test_an_error_is_recorded_by_its_class_alone(
    recorded: Recorded, sample: Harness[Any]
) -> None:
    with pytest.raises(ValueError, match="poison"):
        await sample.deliver(order(666))
    assert [span.status.description for span in recorded.spans] == ["ValueError", "ValueError"]
    assert {span.status.status_code for span in recorded.spans} == {StatusCode.ERROR}
    assert all(not span.events for span in recorded.spans)


async def test_a_failed_call_is_a_span_too(recorded: Recorded) -> None:
    parent = new_traceparent()
    client = Http(timeout=1)
    with context.use_context(Context(span=remote_span(parent))), pytest.raises(Unreachable):
        await client.request("GET", "http://127.0.0.1:9/a?secret=canary")
    await client.close()
    [span] = recorded.spans
    assert (span.kind, traceparent_of(span.parent)) == (SpanKind.CLIENT, parent)
    assert span.status.description == "Unreachable"
    assert attributes_of(span)["url.path"] == "/a"
    assert "canary" not in span.to_json()


async def test_a_span_holds_no_secret(recorded: Recorded) -> None:
    attributes: dict[str, str | int] = {
        "url.path": "/orders/ord_canary7890123456789012",
        "http.response.status_code": 200,
    }
    tracing.root_span("a", attributes=attributes)
    [span] = recorded.spans
    assert span.attributes == {"url.path": "/orders/[token]", "http.response.status_code": 200}


async def test_work_without_a_cause_begins_a_trace(
    recorded: Recorded, sample: Harness[Any]
) -> None:
    async with sample.transaction() as tx:
        outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))
    [(stored,)] = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox")
    [span] = recorded.spans
    assert (span.name, span.parent) == ("publish inventory.StockReleased", None)
    assert traceparent_of(span.context) == stored


async def stored_trace(sample: Harness[Any], caller: str) -> str:
    """The traceparent of the message that a request of this caller publishes."""
    headers = {**sample.signed_in(), "Idempotency-Key": "k", "traceparent": caller}
    await sample.client.post("/v1/jars", json={"name": "a", "coins": 1}, headers=headers)
    [(stored,)] = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox")
    assert stored.split("-")[1] == caller.split("-")[1]
    return str(stored)


async def test_a_trace_that_is_not_sampled_is_carried_on_and_not_recorded(
    recorded: Recorded, sample: Harness[Any]
) -> None:
    assert (await stored_trace(sample, f"{new_traceparent()[:-2]}00")).endswith("-00")
    assert recorded.spans == []


async def test_without_a_collector_a_trace_is_passed_on_unchanged(sample: Harness[Any]) -> None:
    caller = new_traceparent()
    assert await stored_trace(sample, caller) == caller


async def test_without_a_collector_work_without_a_cause_has_a_trace(sample: Harness[Any]) -> None:
    async with sample.transaction() as tx:
        outbox.add(tx, StockReleased(order_id=new_id()).with_sequence(1))
    [(stored,)] = await sample.sql("select headers->>'cloudEvents:traceparent' from outbox")
    assert remote_span(stored).get_span_context().is_valid
    assert stored.endswith("-00")


async def test_a_message_of_an_unrecorded_service_is_sent_as_it_is() -> None:
    row = {"headers": {"cloudEvents:traceparent": new_traceparent()}}
    with instrumentation.sending(row) as headers:
        assert headers is row["headers"]


async def test_a_row_without_an_envelope_is_sent_all_the_same(recorded: Recorded) -> None:
    row = {"exchange": "x", "routing_key": "y", "message_id": new_id(), "headers": {}}
    with instrumentation.sending(row):
        pass
    [span] = recorded.named("send x:y")
    assert span.parent is None


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


def collected(resource: Any) -> tuple[str, list[Any]]:
    """The service of a resource, and its spans."""
    attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
    return attributes["service.name"], list(resource.scope_spans[0].spans)


def test_the_services_of_a_process_reach_a_collector_each_under_its_name() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}/"
    caller, other = remote_span(new_traceparent()), remote_span(new_traceparent())
    unsampled = remote_span(f"{new_traceparent()[:-2]}00")

    def work(service: str) -> None:
        provider = otlp.provider_of(service, endpoint, ratio=0)
        tracing.tracer.set(provider.get_tracer("tests"))
        links = [Link(other.get_span_context())]
        span = tracing.start("send x", SpanKind.PRODUCER, caller, links=links, began=1.5)
        with pytest.raises(LookupError), tracing.ending(span):
            raise LookupError
        for dropped in (unsampled, INVALID_SPAN):
            with tracing.ending(tracing.start("dropped", SpanKind.SERVER, dropped)):
                pass
        otlp.close(provider, timeout=60)

    try:
        for service in ("sample", "other"):
            with use_service(service):
                work(service)
    finally:
        server.shutdown()
        server.server_close()
    assert {path for path, _ in Receiver.taken} == {"/v1/traces"}
    found = dict(collected(*request.resource_spans) for _, request in Receiver.taken)
    assert found.keys() == {"sample", "other"}
    [span] = found["sample"]
    sender, linked = caller.get_span_context(), other.get_span_context()
    assert (span.name, span.kind) == ("send x", 4)
    assert span.trace_id == sender.trace_id.to_bytes(16)
    assert span.parent_span_id == sender.span_id.to_bytes(8)
    assert span.links[0].span_id == linked.span_id.to_bytes(8)
    assert span.start_time_unix_nano == 1_500_000_000
    assert (span.status.code, span.status.message) == (2, "LookupError")


def test_a_collector_that_is_away_does_not_delay_the_process() -> None:
    provider = otlp.provider_of("sample", "http://127.0.0.1:9", ratio=1)
    provider.get_tracer("tests").start_span("a").end()
    otlp.close(provider, timeout=0.1)


def test_without_a_collector_the_sdk_is_not_even_loaded() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import sample.service; "
        "print(sorted(m for m in sys.modules if m.startswith('opentelemetry.sdk')))"
    )
    folder = __file__.rpartition("/")[0]
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"
