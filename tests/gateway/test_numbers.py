"""Envoy's metrics are served on a port of their own, which serves nothing else."""

import httpx
import pytest

from testkit.metrics_page import MetricsPage

from .conftest import Gateway, StartGateway
from .upstream import Upstream, listening

ANSWERS = "envoy_http_downstream_rq_xx"
UNREACHED = "envoy_cluster_upstream_cx_connect_fail"


def free_port() -> int:
    with listening() as sock:
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def numbers() -> str:
    """The address of the metrics."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def lonely(start_gateway: StartGateway, upstream: Upstream, numbers: str) -> Gateway:
    """A gateway that serves metrics, and does not reach the service orders."""
    services = {"identity": upstream.ports["identity"], "orders": free_port()}
    return start_gateway(services=services, metrics_port=httpx.URL(numbers).port)


def scraped(numbers: str) -> MetricsPage:
    return MetricsPage.of(httpx.get(f"{numbers}/metrics"))


def answered(samples: MetricsPage, kind: str) -> float:
    return samples(ANSWERS, envoy_http_conn_manager_prefix="public", envoy_response_code_class=kind)


def test_what_customers_see_and_whom_it_does_not_reach_is_counted(
    lonely: Gateway, numbers: str
) -> None:
    before = scraped(numbers)
    assert httpx.get(f"{lonely.url}/v1/orders").status_code == 503
    assert httpx.get(f"{lonely.url}/v1/nowhere").status_code == 404
    after = scraped(numbers)
    assert answered(after, "5") == answered(before, "5") + 1
    assert answered(after, "4") == answered(before, "4") + 1
    orders = {"envoy_cluster_name": "orders"}
    assert after(UNREACHED, **orders) > before(UNREACHED, **orders)
    assert after("envoy_cluster_membership_healthy", **orders) == 1
    assert len(after.names) < 60


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/metrics"),
        ("GET", "/"),
        ("GET", "/stats"),
        ("GET", "/stats/prometheus"),
        ("GET", "/config_dump"),
        ("GET", "/metrics/../config_dump"),
        ("POST", "/quitquitquit"),
        ("POST", "/healthcheck/fail"),
    ],
)
def test_the_port_leads_to_nothing_else(
    lonely: Gateway, numbers: str, method: str, path: str
) -> None:
    answer = httpx.request(method, f"{numbers}{path}")
    assert answer.status_code == 404
    assert answer.text == ""
    assert lonely.process.poll() is None


def test_metrics_are_not_public(lonely: Gateway) -> None:
    answer = httpx.get(f"{lonely.url}/metrics")
    assert answer.status_code == 404
    assert "envoy_" not in answer.text
