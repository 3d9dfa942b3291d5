"""What comes back: problems of the gateway's own, answers of the services, logs of both."""

import time

import httpx
import pytest

from .conftest import Gateway, StartGateway
from .upstream import Identity, Upstream, until

SHOP, STRANGER = "https://shop.example", "https://shop.example.evil.example"


def test_a_problem_of_a_service_passes_unchanged(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/v1/shipments/refused")
    assert answer.status_code == 409
    assert answer.json() == {"title": "Conflict", "status": 409, "code": "of_the_service"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: a\r\nX-Bad: \x00\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/carts HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /v1/carts HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(gateway: Gateway, garbage: bytes) -> None:
    answer = gateway.send(garbage)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert b"application/problem+json" in answer


def test_every_answer_names_its_request(gateway: Gateway) -> None:
    with gateway.client() as client:
        answers = [client.delete("/v1/orders/1"), client.get("/nowhere")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids[0] != ids[1]
    assert answers[0].json()["headers"]["x-request-id"] == ids[0]
    assert answers[1].json()["request_id"] == ids[1]


def test_no_response_reveals_the_servers_behind_it(gateway: Gateway) -> None:
    with gateway.client() as client:
        for answer in (client.delete("/v1/orders/1"), client.get("/nowhere")):
            assert not [name for name in answer.headers if name.startswith("x-envoy")]
            assert answer.headers["server"] == "cartwright"
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_trace_is_continued_or_begun(gateway: Gateway) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    continued = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    with gateway.client() as client:
        seen = client.delete("/v1/orders/1", headers=continued).json()["headers"]["traceparent"]
        begun = client.delete("/v1/orders/1").json()["headers"]["traceparent"]
    assert seen.split("-")[1] == trace_id
    assert [len(part) for part in begun.split("-")] == [2, 32, 16, 2]


def test_spans_go_to_the_collector_where_there_is_one(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    traced = start_gateway(collector_port=upstream.ports["docs"])
    with traced.client() as client:
        for _ in range(10):
            begun = client.delete("/v1/orders/1").json()["headers"]["traceparent"]
    assert begun.endswith("-01")
    assert upstream.spans_received.wait(10)


def test_who_begins_a_trace_decides_whether_it_is_recorded(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    traced = start_gateway(collector_port=upstream.ports["docs"], trace_share=0)
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
    with traced.client() as client:
        seen = [
            client.delete("/v1/orders/1", headers=headers).json()["headers"]["traceparent"][-3:]
            for headers in (
                {"traceparent": f"{traceparent}01"},
                {"traceparent": f"{traceparent}00"},
                {},
            )
        ]
    assert seen == ["-01", "-00", "-00"]


def test_a_page_of_the_shop_may_call(gateway: Gateway) -> None:
    with gateway.client(headers={"Origin": SHOP}) as client:
        preflight_headers = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,idempotency-key,x-cart-token",
        }
        preflight = client.options("/v1/orders", headers=preflight_headers)
        answer = client.delete("/v1/orders/1")
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == SHOP
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "idempotency-key", "if-match", "x-cart-token"} <= set(allowed)
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert "etag" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [STRANGER, "http://shop.example", "https://SHOP.example", "null"]
)
def test_a_strangers_page_may_not(gateway: Gateway, origin: str) -> None:
    with gateway.client(headers={"Origin": origin}) as client:
        preflight_headers = {"Access-Control-Request-Method": "POST"}
        for answer in (
            client.options("/v1/orders", headers=preflight_headers),
            client.get("/v1/me"),
        ):
            assert "access-control-allow-origin" not in answer.headers


def test_refusals_can_be_read_by_a_page_of_the_shop(gateway: Gateway) -> None:
    with gateway.client(headers={"Origin": SHOP, "Authorization": "Bearer x"}) as client:
        answer = client.get("/v1/orders")
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == SHOP


def test_long_answers_are_compressed_and_keep_their_etag(gateway: Gateway) -> None:
    with gateway.client(headers={"Accept-Encoding": "gzip"}) as client:
        many, one, short = (
            client.get(path) for path in ("/v1/products", "/v1/products/1", "/v1/me")
        )
    assert many.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in many.headers["vary"]
    assert len(many.json()) == 500
    assert one.headers["etag"] == '"7"'
    assert "content-encoding" not in one.headers
    assert "content-encoding" not in short.headers


def test_events_arrive_as_they_happen(start_gateway: StartGateway, upstream: Upstream) -> None:
    """The first event is here before the second is sent, and no clock cuts the stream."""
    impatient = start_gateway(seconds={"answer": 1, "wait": 1, "request": 1})
    upstream.may_go_on.clear()
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
    try:
        with (
            impatient.client(headers=headers) as client,
            client.stream("GET", "/v1/orders/1/progress") as answer,
        ):
            lines = filter(None, answer.iter_lines())
            assert next(lines) == "data: first"
            outlived(impatient, seconds=1)
            upstream.may_go_on.set()
            assert next(lines) == "data: last"
    finally:
        upstream.may_go_on.set()
    assert answer.headers["content-type"].startswith("text/event-stream")


def outlived(gateway: Gateway, seconds: float) -> None:
    """Wait until a plain request, begun now, has been given up: the clock did strike."""
    began = time.monotonic()
    with gateway.client() as client:
        assert client.get("/v1/shipments/stuck").status_code == 504
    assert time.monotonic() - began >= seconds


def test_the_log_holds_no_secrets(gateway: Gateway, identity: Identity) -> None:
    token = identity.token(sub="a-logged-buyer")
    headers = {"Authorization": f"Bearer {token}", "X-Cart-Token": "cart-secret"}
    with gateway.client(headers=headers) as client:
        answer = client.delete("/v1/orders/1", params={"order_token": "order-secret"})
    request_id = answer.headers["x-request-id"]
    until(lambda: any(line["request_id"] == request_id for line in gateway.access_log()))
    (line,) = (line for line in gateway.access_log() if line["request_id"] == request_id)
    assert (line["method"], line["path"], line["status"]) == ("DELETE", "/v1/orders/1", 200)
    assert (line["service"], line["principal"]) == ("orders", "a-logged-buyer")
    assert len(line["trace_id"]) == 32
    for secret in (token, "order-secret", "cart-secret"):
        assert secret not in gateway.log.read_text()


def test_a_draining_gateway_is_not_ready_but_serves(start_gateway: StartGateway) -> None:
    draining = start_gateway()
    httpx.post(draining.admin_url + "/healthcheck/fail")
    with draining.client() as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
        assert client.delete("/v1/orders/1").status_code == 200
