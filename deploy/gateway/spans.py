"""The gateway's spans: which collector takes them, and how many traces are recorded."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from routes import Json

EXTENSIONS = "type.googleapis.com/envoy.extensions"


def traced(settings: Json, environment: Mapping[str, str]) -> Json:
    """Take the collector that the environment names, as the services do; settings go before it."""
    endpoint = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint or "collector_port" in settings:
        return settings
    named = urlsplit(endpoint)
    return settings | {
        "hosts": settings.get("hosts", {}) | {"collector": named.hostname},
        "collector_port": named.port or 4318,
        "trace_share": float(environment.get("OTEL_TRACES_SAMPLER_ARG", "1")),
    }


def tracing(*, share: float | None) -> Json:
    """Give every request a traceparent, and make spans of it where a collector is named.

    share: of the traces that begin here, how many are recorded; those that a client began bring
    the decision with them. Envoy wants an exporter in any case, so without a collector, for which
    None stands, nothing is sampled.
    """
    kind = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
    http_uri = {"uri": "http://collector/v1/traces", "cluster": "collector", "timeout": "2s"}
    provider: Json = {
        "@type": kind,
        "service_name": "gateway",
        "http_service": {"http_uri": http_uri},
    }
    samplers = f"{EXTENSIONS}.tracers.opentelemetry.samplers.v3"
    by_share = {
        "name": "share",
        "typed_config": {
            "@type": f"{samplers}.TraceIdRatioBasedSamplerConfig",
            "sampling_percentage": {
                "numerator": round((share or 0) * 1_000_000), "denominator": "MILLION",
            },
        },
    }  # fmt: skip
    by_parent = {
        "name": "parent",
        "typed_config": {
            "@type": f"{samplers}.ParentBasedSamplerConfig",
            "wrapped_sampler": by_share,
        },
    }
    provider["sampler"] = by_share if share is None else by_parent
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": provider},
        "spawn_upstream_span": True,
    }
