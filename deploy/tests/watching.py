"""What watches the composition: its files with short waits, its interfaces, and a receiver of alerts."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml
from composition import Composition, docker, inspected

from collector import Collector, Seen
from suite import repository

FOLDER = repository.ROOT / "deploy/observability"
FILE = Path("deploy/observability/docker-compose.yml")
WATCHERS = {"prometheus", "alertmanager", "otel-collector"}
# No registry that can be reached holds these two in any form.
NOT_TO_BE_HAD = {"tempo", "grafana"}
ENDPOINT = "http://otel-collector:4318"
# Where the receiver listens; containers know this machine by the name.
DESK = ("desk", 9095)
FETCH = """
import json, sys, urllib.request
accept = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
pages = [urllib.request.Request(url, headers={"Accept": accept}) for url in sys.argv[1:]]
kinds = {page.full_url: urllib.request.urlopen(page).headers["Content-Type"] for page in pages}
print(json.dumps(kinds))
"""
SECOND = {"scrape_interval": "2s", "evaluation_interval": "2s"}


def text(name: str) -> Any:
    """A file of deploy/observability as it is written."""
    return yaml.safe_load((FOLDER / name).read_text())


def queries() -> Any:
    """Every dashboard's queries as rules, by the check that gives them to promtool."""
    spec = importlib.util.spec_from_file_location("observability_check", FOLDER / "check.py")
    assert spec is not None and spec.loader is not None
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    return check.queries()


def hurried(folder: Path) -> Path:
    """Write the configuration with waits of seconds, and the compose file that puts it in place.

    Beside the waits it changes where the pager is, and has the dashboards' queries evaluated too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prometheus, alerts, received = map(
        text, ("prometheus.yaml", "alerts.yaml", "alertmanager.yaml")
    )
    prometheus["global"] |= SECOND
    prometheus["rule_files"].append("queries.yaml")
    for group in alerts["groups"]:
        for rule in group["rules"]:
            rule["for"] = "0s"
    for route in (received["route"], *received["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    address = f"http://{DESK[0]}:{DESK[1]}"
    received["global"] = {"pagerduty_url": f"{address}/pager"}
    files = {"prometheus.yaml": prometheus, "alerts.yaml": alerts, "queries.yaml": queries(),
             "alertmanager.yaml": received}  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(yaml.safe_dump(content))
    (folder / "pager-key").write_text("a-routing-key")
    (folder / "tickets-url").write_text(f"{address}/tickets")
    mounted = {
        "prometheus": ["prometheus.yaml", "alerts.yaml", "queries.yaml"],
        "alertmanager": ["alertmanager.yaml"],
    }
    services: dict[str, Any] = {
        name: {"volumes": [f"{folder / file}:/etc/{name}/{file}:ro" for file in files]}
        for name, files in mounted.items()
    }
    services["alertmanager"]["extra_hosts"] = [f"{DESK[0]}:host-gateway"]
    override = folder / "docker-compose.yml"
    override.write_text(yaml.safe_dump({"version": "3.8", "services": services}))
    return override


def settings(folder: Path) -> dict[str, str]:
    """What the compose files take from the environment to be watched."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT,
        "PAGER_KEY_FILE": str(folder / "pager-key"),
        "TICKETS_URL_FILE": str(folder / "tickets-url"),
    }


@dataclass
class OperatorCli:
    """The receiver of alerts: every message, by its path."""

    received: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def of(self, path: str) -> list[dict[str, Any]]:
        """What came on a path."""
        return [body for way, body in self.received if way == path]


@contextmanager
def listening() -> Iterator[OperatorCli]:
    """A desk that takes what Alertmanager sends to PagerDuty and to Slack."""
    desk = OperatorCli()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            desk.received.append((self.path, json.loads(body)))
            # What PagerDuty answers; Slack's is `ok`, and only the code of it is read.
            self.send_response(202 if self.path == "/pager" else 200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("0.0.0.0", DESK[1]), Taking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield desk
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)


class Watch:
    """The watchers' own interfaces, inside the composition's network."""

    def __init__(self, composition: Composition) -> None:
        self.collector = composition.container("otel-collector")
        network = f"{composition.project.name}_inside"
        # Read once: compose takes a second for it.
        self.addresses = {
            name: inspected(composition.container(name))["NetworkSettings"]["Networks"][network]
            for name in WATCHERS
        }

    def _ask(self, service: str, port: int, path: str, **query: Any) -> Any:
        address = self.addresses[service]["IPAddress"]
        answer = httpx.get(f"http://{address}:{port}{path}", params=query, timeout=60)
        assert answer.is_success, f"{service}{path}: {answer.status_code} {answer.text[:1000]}"
        return answer.json()

    def prometheus(self, path: str, **query: Any) -> Any:
        """What Prometheus answers below /api/v1."""
        return self._ask("prometheus", 9090, f"/api/v1/{path}", **query)["data"]

    def series(self, selector: str) -> list[dict[str, str]]:
        """The labels of every series that a selector finds."""
        return list(self.prometheus("series", **{"match[]": selector}))

    def kinds(self, urls: list[str]) -> dict[str, str]:
        """The Content-Type of pages, requested from within the network as version 3 does."""
        return dict(json.loads(docker("exec", self.collector, "python", "-c", FETCH, *urls)))

    def alerts(self) -> list[dict[str, Any]]:
        """What Alertmanager holds."""
        return list(self._ask("alertmanager", 9093, "/api/v2/alerts"))

    def of_trace(self, trace: str) -> list[Seen]:
        """The spans of a trace that the collector took."""
        spans = [Seen(**each) for each in self._ask("otel-collector", 4318, "/spans")]
        return Collector(spans).of_trace(trace)
