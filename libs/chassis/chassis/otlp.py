"""Records spans by OpenTelemetry's SDK and exports them to a collector over OTLP (http/protobuf).

The SDK reads OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _COMPRESSION and OTEL_BSP_*.
"""

import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

WAIT_MILLISECONDS = 1000


def provider_of(service: str, endpoint: str, ratio: float) -> TracerProvider:
    """A provider of tracers for one service of this process.

    It records a `ratio` from 0 to 1 of the traces that begin here, and of the others those that are
    marked as sampled. A thread exports its spans in batches; spans that the collector does not
    accept in time are dropped.
    """
    provider = TracerProvider(
        ParentBased(TraceIdRatioBased(ratio)),
        Resource.create({"service.name": service, "service.namespace": "cartwright"}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(
        BatchSpanProcessor(exporter, schedule_delay_millis=WAIT_MILLISECONDS)
    )
    return provider


def close(provider: TracerProvider, timeout: float = 2.0) -> None:
    """Export what was recorded; waits `timeout` seconds for an unavailable collector."""
    # A daemon, because the exporter retries for long and must not keep the process alive.
    closing = threading.Thread(target=provider.shutdown, daemon=True)
    closing.start()
    closing.join(timeout)
