"""Renders Envoy's configuration: envoy.yaml, filled in with routes and an instance's settings."""

import argparse
import json
import sys
from ipaddress import ip_address
from pathlib import Path
from string import Template

from limits import limit_after_token, limit_before_token
from refusals import refusals
from routes import PREFIXES, Json, all_routes

TEMPLATE = Path(__file__).with_name("envoy.yaml")
PAGES = ("docs", "sandbox", "mail")
EXTENSIONS = "type.googleapis.com/envoy.extensions"

# How long things may take; `seconds` in the settings overrides any of them.
SECONDS = {
    "headers": 10,  # the head of a request to arrive
    "request": 30,  # a whole request to arrive
    "answer": 30,  # a service to answer
    "wait": 35,  # orders to answer: `Prefer: wait` may ask for 30, and then it still has to write
    "keys": 60,  # identity's key set to be believed; a new key is published that long before use
}

# Said by the gateway about the caller, so never believed when the caller says it.
STRIPPED_PREFIXES = ("x-user", "x-caller", "x-principal", "x-forwarded-", "x-envoy-")
STRIPPED = ("forwarded", "x-real-ip", "x-original-url", "x-rewrite-url", "x-request-id")


def main() -> None:
    """Write envoy.yaml into the folder given, or say which setting is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for envoy.yaml")
    parser.add_argument("--env", type=Path, required=True, help="settings, a JSON file")
    arguments = parser.parse_args()

    try:
        configuration = render(json.loads(arguments.env.read_text()))
    except KeyError as missing:
        sys.exit(f"{arguments.env}: the setting {missing} is missing")
    except (OSError, ValueError) as error:
        sys.exit(f"{arguments.env}: {error}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "envoy.yaml").write_text(configuration)


def render(settings: Json) -> str:
    """Envoy's configuration as YAML text; the settings are described in README.md.

    Raises KeyError for a missing setting and ValueError for a service nobody knows.
    """
    services = list(settings["services"])
    if unknown := set(services) - set(PREFIXES):
        raise ValueError(f"services without routes: {', '.join(sorted(unknown))}")
    hosts = settings.get("hosts", {})
    ports = settings["services"] | {
        page: settings[f"{page}_port"] for page in PAGES if settings.get(f"{page}_port")
    }
    if collector_port := settings.get("collector_port"):
        ports["collector"] = collector_port
    per_address = settings["rate_limit_per_address"]
    per_principal = settings["rate_limit_per_principal"]
    trusted_hops = settings.get("trusted_hops", 0)
    durations = {
        name: f"{seconds}s" for name, seconds in (SECONDS | settings.get("seconds", {})).items()
    }

    values = {
        "admin_port": settings["admin_port"],
        "gateway_port": settings["gateway_port"],
        "gateway_host": hosts.get("gateway", "127.0.0.1"),
        "trusted_hops": trusted_hops,
        "headers_timeout": durations["headers"],
        "request_timeout": durations["request"],
        "keys_cache": durations["keys"],
        "tracing": tracing(exported="collector" in ports),
        "stripped_headers": stripped_headers(trusted_hops),
        "refusals": refusals(),
        "response_headers": response_headers(),
        "limit_before_token": limit_before_token(per_address),
        "limit_after_token": limit_after_token(per_address, per_principal),
        "token_issuer": settings["token_issuer"],
        "token_audience": settings["token_audience"],
        "jwks_uri": f"http://identity:{ports['identity']}/.well-known/jwks.json",
        "cors_origins": [{"exact": origin} for origin in settings["cors_origins"]],
        "routes": all_routes(services, [page for page in PAGES if page in ports], durations),
        "clusters": [
            cluster(name, hosts.get(name, "127.0.0.1"), port) for name, port in ports.items()
        ],
    }
    # JSON is YAML, so every value can be written as JSON wherever it stands.
    as_json = {name: json.dumps(value) for name, value in values.items()}
    return Template(TEMPLATE.read_text()).substitute(as_json)


def cluster(name: str, host: str, port: int) -> Json:
    """Say where a service listens.

    Neither health checks nor outlier detection: behind each name stands one address, and turning
    it away would only make a refusal out of an answer that might have come.
    """
    return {
        "name": name,
        "type": "STATIC" if is_address(host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(host, port)}}]}],
        },
        # A waiting checkout and a stream of events hold a connection each.
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 2048,
                    "max_pending_requests": 1024,
                    "max_requests": 2048,
                    "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 5},
                }
            ]
        },
        # Shorter than uvicorn's 5 seconds, else a request meets a connection just being closed.
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": "4s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def is_address(host: str) -> bool:
    """Tell an address from a name, which has to be looked up."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def socket(host: str, port: int) -> Json:
    """Build the address of a socket, as Envoy writes it."""
    return {"socket_address": {"address": host, "port_value": port}}


def stripped_headers(trusted_hops: int) -> list[Json]:
    """Drop what the caller says of itself; of a trusted proxy before us, the address is kept."""
    prefixes = [
        {"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}}
        for prefix in STRIPPED_PREFIXES
        if not (trusted_hops and prefix == "x-forwarded-")
    ]
    return [*prefixes, *({"remove": name} for name in STRIPPED)]


def response_headers() -> list[Json]:
    """Add what every answer carries, and drop what none should."""
    nosniff = {"key": "x-content-type-options", "value": "nosniff"}
    return [
        {"append": {"header": nosniff, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}},
        {"append": {"header": {"key": "vary", "value": "Origin"}}},
        {"remove": "x-envoy-ratelimited"},
    ]


def tracing(*, exported: bool) -> Json:
    """Give every request a traceparent, and make spans of it where a collector is named.

    Envoy wants an exporter in any case, so without a collector nothing is sampled.
    """
    kind = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
    http_uri = {"uri": "http://collector/v1/traces", "cluster": "collector", "timeout": "2s"}
    provider: Json = {
        "@type": kind,
        "service_name": "gateway",
        "http_service": {"http_uri": http_uri},
    }
    if not exported:
        provider["sampler"] = {
            "name": "none",
            "typed_config": {
                "@type": f"{EXTENSIONS}.tracers.opentelemetry.samplers.v3"
                ".TraceIdRatioBasedSamplerConfig",
                "sampling_percentage": {"numerator": 0},
            },
        }
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": provider},
        "spawn_upstream_span": True,
    }


if __name__ == "__main__":
    main()
