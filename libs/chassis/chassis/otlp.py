"""Exports spans to a collector over OTLP (http/protobuf), in batches, by OpenTelemetry's SDK.

The SDK reads OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _COMPRESSION and OTEL_BSP_*.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from chassis.tracing import Span

WAIT_MILLISECONDS = 1000


class Otlp:
    """Exports spans in its own thread; drops those that the collector does not accept in time."""

    def __init__(self, endpoint: str, service: str) -> None:
        self._resource = Resource.create(
            {"service.name": service, "service.namespace": "cartwright"}
        )
        self._scope = InstrumentationScope("cartwright.chassis")
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._processor = BatchSpanProcessor(exporter, schedule_delay_millis=WAIT_MILLISECONDS)

    def add(self, span: Span) -> None:
        """Add a span to the next batch."""
        self._processor.on_end(
            ReadableSpan(
                span.name,
                context=_identity(span.traceparent),
                parent=None if span.parent is None else _identity(span.parent),
                resource=self._resource,
                attributes=span.attributes,
                links=[Link(_identity(each)) for each in span.links],
                kind=SpanKind[span.kind],
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
                start_time=span.start,
                end_time=span.end,
                instrumentation_scope=self._scope,
            )
        )

    def close(self) -> None:
        """Export the remaining spans and end the thread."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def _identity(traceparent: str) -> SpanContext:
    _, trace, span, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)))
