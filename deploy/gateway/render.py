"""Renders Envoy's configuration: templates, filled in with routes and an instance's settings."""

import argparse
import json
import os
import sys
from ipaddress import ip_address
from pathlib import Path
from string import Template
from textwrap import indent

from limits import limit_after_token, limit_before_token
from metrics import metrics_listener
from refusals import refusals
from routes import PREFIXES, Json, all_routes
from settings import load
from spans import traced, tracing

BOOTSTRAP = Path(__file__).with_name("envoy.yaml")
LISTENER = Path(__file__).with_name("listener.yaml")
PAGES = ("docs", "sandbox", "mail")
EXTENSIONS = "type.googleapis.com/envoy.extensions"

# How long things may take; `seconds` in the settings overrides any of them.
SECONDS = {
    "headers": 10,  # the head of a request to arrive
    "request": 30,  # a whole request to arrive
    "answer": 30,  # a service to answer
    "wait": 35,  # orders to answer: `Prefer: wait` may ask for 30, and then it still has to write
    "idle": 4,  # an idle connection to a service stays open: less than its notice before closing
    "keys": 60,  # identity's key set to be believed; a new key is published that long before use
}

# How replicas are probed for readiness.
READINESS: Json = {
    "timeout": "2s",
    "interval": "0.5s",
    "no_traffic_interval": "0.5s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "http_health_check": {"path": "/readyz"},
}

# Set by the gateway about the caller, so never accepted from the caller.
STRIPPED_PREFIXES = ("x-user", "x-caller", "x-principal", "x-client-", "x-forwarded-", "x-envoy-")
STRIPPED = ("forwarded", "x-real-ip", "x-original-url", "x-rewrite-url", "x-request-id")


def main() -> None:
    """Write the configuration into the folder given, or report which setting is wrong.

    A gateway that runs on the folder takes over what changed, without dropping a request.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the configuration")
    parser.add_argument("--env", type=Path, required=True, help="settings, a JSON file")
    arguments = parser.parse_args()

    try:
        settings = traced(load(arguments.env), os.environ)
        files = render(settings, arguments.out.resolve())
    except KeyError as missing:
        sys.exit(f"{arguments.env}: the setting {missing} is missing")
    except (OSError, ValueError) as error:
        sys.exit(f"{arguments.env}: {error}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        replace(arguments.out / name, text)


def replace(file: Path, text: str) -> None:
    """Put a file in place at once: Envoy reads it when it is moved there, and never half of it."""
    if file.exists() and file.read_text() == text:
        return
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text)
    fresh.replace(file)


def render(settings: Json, folder: Path) -> dict[str, str]:
    """Envoy's configuration by file name; the settings are described in README.md.

    envoy.yaml is what Envoy is started with and names the listeners and clusters in `folder`;
    static.yaml holds all in one, to be validated. Raises KeyError for a missing setting and
    ValueError for an unknown service.
    """
    public = filled(LISTENER, listener_values(settings))
    idle = f"{(SECONDS | settings.get('seconds', {}))['idle']}s"
    clusters = [cluster(name, known, idle) for name, known in upstreams(settings).items()]
    others = []
    if port := settings.get("metrics_port"):
        others.append(metrics_listener(own_host(settings), port))
        clusters.append(cluster("admin", [("127.0.0.1", settings["admin_port"])], idle))
    places = {"listeners": f"{folder}/listeners.yaml", "clusters": f"{folder}/clusters.yaml"}
    bootstrap = filled(BOOTSTRAP, {"admin_port": settings["admin_port"], **places})
    listener = "listener.v3.Listener"
    listeners = [f'"@type": {kind(listener)}\n{public}']
    listeners += [f"{json.dumps(typed(listener, each))}\n" for each in others]
    static = [public, *(f"{json.dumps(each)}\n" for each in others)]
    return {
        "clusters.yaml": json.dumps(
            {"resources": [typed("cluster.v3.Cluster", each) for each in clusters]}
        ),
        "listeners.yaml": "resources:\n" + "".join(map(item, listeners)),
        "static.yaml": bootstrap.partition("node:")[0]
        + "static_resources:\n  listeners:\n"
        + indent("".join(map(item, static)), "  ")
        + f"  clusters: {json.dumps(clusters)}\n",
        "envoy.yaml": bootstrap,
    }


def own_host(settings: Json) -> str:
    """The address to listen on."""
    return str(settings.get("hosts", {}).get("gateway", "127.0.0.1"))


def upstreams(settings: Json) -> dict[str, list[tuple[str, int]]]:
    """Where each service and page listens: (host, port), several where there are replicas."""
    hosts = settings.get("hosts", {})
    ports = settings["services"] | {
        page: settings[f"{page}_port"] for page in PAGES if settings.get(f"{page}_port")
    }
    if collector_port := settings.get("collector_port"):
        ports["collector"] = collector_port
    return {
        name: [(hosts.get(name, "127.0.0.1"), port) for port in as_list(found)]
        for name, found in ports.items()
    }


def as_list(found: int | list[int]) -> list[int]:
    """Read a port or several."""
    return found if isinstance(found, list) else [found]


def listener_values(settings: Json) -> Json:
    """What the listener's template has places for."""
    services = list(settings["services"])
    if unknown := set(services) - set(PREFIXES):
        raise ValueError(f"services without routes: {', '.join(sorted(unknown))}")
    known = upstreams(settings)
    per_address = settings["rate_limit_per_address"]
    per_principal = settings["rate_limit_per_principal"]
    trusted_hops = settings.get("trusted_hops", 0)
    durations = {
        name: f"{seconds}s" for name, seconds in (SECONDS | settings.get("seconds", {})).items()
    }
    return {
        "gateway_port": settings["gateway_port"],
        "gateway_host": own_host(settings),
        "trusted_hops": trusted_hops,
        "headers_timeout": durations["headers"],
        "request_timeout": durations["request"],
        "keys_cache": durations["keys"],
        "tracing": tracing(
            share=settings.get("trace_share", 1.0) if "collector" in known else None
        ),
        "stripped_headers": stripped_headers(trusted_hops),
        "refusals": refusals(),
        "response_headers": response_headers(),
        "limit_before_token": limit_before_token(per_address),
        "limit_after_token": limit_after_token(per_address, per_principal),
        "token_issuer": settings["token_issuer"],
        "token_audience": settings["token_audience"],
        "jwks_uri": f"http://identity:{known['identity'][0][1]}/.well-known/jwks.json",
        "cors_origins": [{"exact": origin} for origin in settings["cors_origins"]],
        "routes": all_routes(services, [page for page in PAGES if page in known], durations),
    }


def filled(template: Path, values: Json) -> str:
    """Fill in a template. JSON is YAML, so a value can be written as JSON wherever it stands."""
    as_json = {name: json.dumps(value) for name, value in values.items()}
    return Template(template.read_text()).substitute(as_json)


def kind(name: str) -> str:
    """Write out the type of a configuration message."""
    return f"type.googleapis.com/envoy.config.{name}"


def typed(name: str, message: Json) -> Json:
    """Add a message's type to it, as files of resources must."""
    return {"@type": kind(name), **message}


def item(mapping: str) -> str:
    """Make a YAML mapping the one item of a list."""
    return "- " + indent(mapping, "  ").removeprefix("  ")


def cluster(name: str, addresses: list[tuple[str, int]], idle: str) -> Json:
    """Return where a service listens, and how long an idle connection to it stays open.

    One address is not judged by health checks or outlier detection: turning it away would only
    make a refusal out of an answer that might have come. Of several, one that reports it is not
    ready gets no more requests, and when none is, all get them.
    """
    several = len(addresses) > 1
    endpoints = [{"endpoint": {"address": socket(host, port)}} for host, port in addresses]
    return {
        "name": name,
        "type": "STATIC" if all(is_address(host) for host, _ in addresses) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        **({"health_checks": [READINESS]} if several else {}),
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
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": idle},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def is_address(host: str) -> bool:
    """Return whether it is an address; a name has to be looked up."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def socket(host: str, port: int) -> Json:
    """Build the address of a socket, as Envoy writes it."""
    return {"socket_address": {"address": host, "port_value": port}}


def stripped_headers(trusted_hops: int) -> list[Json]:
    """Drop what the caller sets about itself; a trusted proxy's address header stays."""
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


if __name__ == "__main__":
    main()
