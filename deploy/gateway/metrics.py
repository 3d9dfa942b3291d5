"""The listener on which Prometheus reads Envoy's metrics; it serves nothing else."""

from urllib.parse import quote

from routes import Json

KINDS = "type.googleapis.com/envoy.extensions.filters"
# What alerts and dashboards read, by Envoy's names; the whole page is 40 times as long.
EXPORTED = (
    r"^http\.public\.downstream_(rq_([1-5]xx|total|time|active)|cx_active)$"
    r"|^cluster\.[a-z_]+\.upstream_rq_([1-5]xx|total|time|active|timeout|retry|pending_overflow)$"
    r"|^cluster\.[a-z_]+\.upstream_cx_(connect_fail|active)$"
    r"|^cluster\.[a-z_]+\.membership_(healthy|total)$"
    r"|^server\.(live|memory_allocated|uptime)$"
)


def metrics_listener(host: str, port: int) -> Json:
    """Answer GET /metrics with the admin port's page, and nothing else with anything."""
    page = f"/stats/prometheus?filter={quote(EXPORTED, safe='')}"
    match = {
        "path": "/metrics",
        "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
    }
    route = {"match": match, "route": {"cluster": "admin", "prefix_rewrite": page}}
    connections = {
        "@type": f"{KINDS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metrics",
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{KINDS}.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "name": "metrics",
            "virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": [route]}],
        },
    }
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": connections,
    }
    return {
        "name": "metrics",
        "address": {"socket_address": {"address": host, "port_value": port}},
        "filter_chains": [{"filters": [manager]}],
    }
