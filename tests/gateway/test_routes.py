"""Which paths lead where, and which lead nowhere."""

from contextlib import closing
from http.client import HTTPConnection

import pytest

from suite import repository, service_list

from .conftest import Gateway, StartGateway
from .upstream import Upstream

OWNERS = {
    **{
        path: name
        for name, each in service_list.load(repository.ROOT).items()
        for prefix in (*each.routes, f"/v1/admin/ops/{name}")
        for path in (prefix, f"{prefix}/1/more")
    },
    "/docs": "docs",
    "/docs/openapi.json": "docs",
    "/pay/ch_1": "sandbox",
}


@pytest.mark.parametrize("path", OWNERS)
def test_every_path_reaches_its_service(gateway: Gateway, path: str) -> None:
    with gateway.client() as client:
        for answer in (client.delete(path), client.post(path, json={"some": "thing"})):
            assert answer.status_code == 200, answer.text
            assert (answer.json()["service"], answer.json()["path"]) == (OWNERS[path], path)


@pytest.mark.parametrize(
    "path",
    [
        "/internal",
        "/internal/token",
        "/%2e%2e/internal/token",
        "/v1/../internal/token",
        "/v1/orders/%2e%2e/%2E%2E/internal/token",
        "/v1/%2e%2e/internal/token",
        "//internal/token",
        "/v1/orders/../../internal",
        "/Internal/token",
        "/openapi.json",
        "/v1",
        "/v1/ordersx",
        "/v1/nothing",
        "/v1/admin",
        "/v1/admin/ops",
        "/v1/admin/ops/postgres",
        "/messages",
        "/sandbox/transfers/1",
        "/v1/charges",
    ],
)
def test_what_is_not_named_is_not_there(gateway: Gateway, path: str) -> None:
    status, body = raw_get(gateway, path)
    assert status == 404
    assert b'"code":"not_found"' in body


@pytest.mark.parametrize("path", ["/v1%2forders", "/v1%2Forders", "/v1/orders%5c..%5cinternal"])
def test_escaped_slashes_are_refused(gateway: Gateway, path: str) -> None:
    status, body = raw_get(gateway, path)
    assert status == 400
    assert b'"code":"malformed_request"' in body


def test_a_service_sees_the_path_the_gateway_routed_by(gateway: Gateway) -> None:
    status, body = raw_get(gateway, "//v1///orders/x/../42/./lines")
    assert status == 200
    assert b'"path":"/v1/orders/42/lines"' in body


def test_the_paths_of_a_service_that_does_not_run_are_unknown(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    few = {name: upstream.ports[name] for name in ("identity", "orders")}
    small = start_gateway(services=few, docs_port=None, sandbox_port=None, mail_port=None)
    with small.client() as client:
        assert client.delete("/v1/orders/1").status_code == 200
        for path in ("/v1/carts", "/", "/docs", "/pay/1", "/mail", "/mail/"):
            assert client.get(path).status_code == 404, path


def test_the_front_door_leads_to_the_documentation(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, gateway.url + "/docs")


def test_the_mail_page_is_served_below_its_prefix(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/mail").headers["location"] == gateway.url + "/mail/"
        page = client.delete("/mail/messages").json()
    assert (page["service"], page["path"]) == ("mail", "/messages")


def test_the_gateway_reports_its_own_health(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/livez").json() == {"status": "ok"}
        assert client.get("/readyz").status_code == 200


def raw_get(gateway: Gateway, target: str) -> tuple[int, bytes]:
    """GET without a client library's tidying of the path: status and body."""
    with closing(HTTPConnection(gateway.host, gateway.port, timeout=10)) as connection:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
