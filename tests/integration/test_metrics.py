"""What the running suite exports to Prometheus: every metric that alerts and dashboards query."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
import yaml

from invariants import SERVICES, InvariantChecker
from shopfloor import Buyer, Staff
from suite import repository
from suite.instance import Instance
from testkit.metrics_page import MetricsPage

WATCHING = repository.ROOT / "deploy/observability"
# What Prometheus exports about itself.
GIVEN = {"up"}
NAME = re.compile(r"[a-z_:][a-z0-9_:]*")
# Functions, operators, labels in lists and strings are no metrics.
WORDS = re.compile(
    r"\"[^\"]*\"|\{[^}]*\}|\[[^\]]*\]|(?:by|ignoring|on|without) \([^)]*\)|[a-z_0-9]+(?= ?\()"
)
OPERATORS = {"and", "or", "unless", "sum", "max", "min", "count", "avg"}


def queried(expression: str) -> set[str]:
    """The metrics that a query reads."""
    return set(NAME.findall(WORDS.sub(" ", expression))) - OPERATORS


def queries() -> Iterator[tuple[str, str]]:
    """Every query of every alert and dashboard, with its place."""
    for group in yaml.safe_load((WATCHING / "alerts.yaml").read_text())["groups"]:
        yield from ((rule["alert"], rule["expr"]) for rule in group["rules"])
    for file in (WATCHING / "dashboards").glob("*.json"):
        for panel in json.loads(file.read_text())["panels"]:
            yield from ((panel["title"], target["expr"]) for target in panel["targets"])


async def exported(instance: Instance) -> set[str]:
    """The names of everything the services, the gateway and the broker export."""
    page = f"http://127.0.0.1:{instance.environment.ports['rabbitmq_metrics']}/metrics/detailed"
    families = {"family": ["queue_coarse_metrics", "queue_consumer_count"], "vhost": "cartwright"}
    async with httpx.AsyncClient(timeout=30) as client:
        found = MetricsPage.of(await client.get(page, params=families)).names
        gateway = f"http://127.0.0.1:{instance.environment.ports['gateway_metrics']}/metrics"
        found |= MetricsPage.of(await client.get(gateway)).names
        for service in SERVICES:
            found |= MetricsPage.of(await client.get(f"{instance.url(service)}/metrics")).names
    return found


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        (
            'sum by (a, b) (rate(x_total{c=~"up|y"}[5m])) > 0.5 and z >= ignoring (state) w',
            "x_total z w",
        ),
        ("count(cartwright_ready == 0) or vector(0)", "cartwright_ready"),
    ],
)
def test_the_metrics_of_a_query_are_known(expression: str, names: str) -> None:
    assert queried(expression) == set(names.split())


async def test_a_checkout_shows_in_metrics_and_every_queried_metric_exists(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    async with httpx.AsyncClient(timeout=30) as client:

        async def scrape(service: str) -> MetricsPage:
            return MetricsPage.of(await client.get(f"{instance.url(service)}/metrics"))

        product = await staff.sell(stock=5)
        before = await scrape("orders")
        await buyer.buys(product, 1)
        await at_rest.settle()
        after, stock = await scrape("orders"), await scrape("inventory")
    committed = "cartwright_messages_committed_total"
    for message in ("orders.OrderPlaced", "orders.OrderConfirmed"):
        assert after(committed, message=message) == before(committed, message=message) + 1
    placing = {
        "http_request_method": "POST",
        "http_route": "/v1/orders",
        "http_response_status_code": "200",
    }
    counted = "http_server_request_duration_seconds_count"
    assert after(counted, **placing) == before(counted, **placing) + 1
    assert after("cartwright_outbox_messages", state="waiting") == 0
    assert ("cartwright_stock_oversold_items", frozenset()) in stock.found
    assert stock("cartwright_stock_oversold_items") == 0

    found = await exported(instance)
    wanted = {name: place for place, query in queries() for name in queried(query)}
    assert len(wanted) > 20
    absent = {name: place for name, place in wanted.items() if name not in found | GIVEN}
    assert absent == {}


@pytest.mark.parametrize("path", ["/metrics", "/v1/metrics", "/orders/metrics", "/v1/../metrics"])
async def test_metrics_are_closed_to_clients(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 404
    assert "process_cpu_seconds_total" not in answer.text
