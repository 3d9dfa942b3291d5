"""Which path belongs to which service, as Envoy's routes."""

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

# By service; `make render` writes the file from services.toml.
PREFIXES: dict[str, list[str]] = json.loads(Path(__file__).with_name("prefixes.json").read_text())

# Nothing of a request was processed yet, so any method may be sent again.
RETRY_UNSENT = {
    "retry_on": "connect-failure,refused-stream",
    "num_retries": 2,
    "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
    # Where there are replicas, another one is tried.
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3"
                ".PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": 3,
}
# A read may also be repeated when the service failed in the middle of it.
RETRY_READ = {**RETRY_UNSENT, "retry_on": "connect-failure,refused-stream,reset"}
READS = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}


def all_routes(services: list[str], pages: list[str], durations: dict[str, str]) -> list[Json]:
    """List Envoy's routes, first match wins: the longest path first, and nothing that is not named.

    services: those that run; the paths of others stay unknown (404).
    pages: the browser pages on offer, of `docs`, `sandbox` and `mail`.
    durations: `answer` and `wait`, as Envoy writes them.
    """
    browser_pages = {
        "docs": [redirect("/", "/docs"), *reads_and_writes("/docs", "docs", durations["answer"])],
        # Where a customer is sent when a payment needs their word.
        "sandbox": reads_and_writes("/pay", "sandbox", durations["answer"]),
        "mail": [redirect("/mail", "/mail/"), mail_page(durations["answer"])],
    }
    return [
        liveness(),
        key_set(durations["answer"]),
        strange_credentials(),
        *([progress_stream()] if "orders" in services else []),
        *service_routes(services, durations),
        *(route for page in pages for route in browser_pages[page]),
    ]


def strange_credentials() -> Json:
    """Refuse what a service might take for a token although the gateway did not look at it."""
    name = "authorization"
    sampled_at = {"safe_regex": {"regex": "[Bb]earer [^, ]+"}}
    return {
        "match": {
            "path_separated_prefix": "/v1",
            "headers": [
                {"name": name, "present_match": True},
                {"name": name, "string_match": sampled_at, "invert_match": True},
            ],
        },
        "direct_response": {"status": 401},
        "response_headers_to_add": [
            {"header": {"key": "www-authenticate", "value": 'Bearer realm="cartwright"'}}
        ],
    }


def service_routes(services: list[str], durations: dict[str, str]) -> list[Json]:
    """Route each service's prefixes and its own operations, the longest first."""
    owners = {
        prefix: service
        for service in services
        for prefix in (*PREFIXES[service], f"/v1/admin/ops/{service}")
    }
    longest_first = sorted(owners, key=lambda prefix: (-prefix.count("/"), prefix))
    return [
        route
        for prefix in longest_first
        for route in reads_and_writes(
            prefix, owners[prefix], durations["wait" if prefix == "/v1/orders" else "answer"]
        )
    ]


def reads_and_writes(prefix: str, cluster: str, timeout: str) -> list[Json]:
    """Route a prefix twice, since reads are retried more freely than writes."""
    match = {"path_separated_prefix": prefix}
    return [
        {"match": {**match, "headers": [READS]}, "route": to(cluster, timeout, RETRY_READ)},
        {"match": match, "route": to(cluster, timeout, RETRY_UNSENT)},
    ]


def progress_stream() -> Json:
    """Route the one endless answer: server-sent events, which no clock may cut."""
    return {
        "match": {"safe_regex": {"regex": "/v1/orders/[^/]+/progress"}, "headers": [READS]},
        "route": {**to("orders", "0s", RETRY_UNSENT), "idle_timeout": "0s"},
    }


def key_set(timeout: str) -> Json:
    """Route the public keys, for other systems that verify tokens."""
    return {
        "match": {"path": "/.well-known/jwks.json"},
        "route": to("identity", timeout, RETRY_READ),
    }


def mail_page(timeout: str) -> Json:
    """Route the mail catcher, which knows nothing of the prefix it is served below."""
    return {
        "match": {"prefix": "/mail/"},
        "route": {**to("mail", timeout, RETRY_UNSENT), "prefix_rewrite": "/"},
    }


def liveness() -> Json:
    """Answer `/livez` of the gateway itself; `/readyz` is a filter's, which knows of draining."""
    content_type = {"key": "content-type", "value": "application/json"}
    overwrite = {"header": content_type, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "match": {"path": "/livez"},
        "direct_response": {"status": 200, "body": {"inline_string": '{"status":"ok"}'}},
        "response_headers_to_add": [overwrite],
    }


def redirect(path: str, target: str) -> Json:
    """Send a browser on to another path of the gateway."""
    return {
        "match": {"path": path},
        "redirect": {"path_redirect": target, "response_code": "TEMPORARY_REDIRECT"},
    }


def to(cluster: str, timeout: str, retry_policy: Json) -> Json:
    """Pass a request on to a service."""
    return {"cluster": cluster, "timeout": timeout, "retry_policy": retry_policy}
