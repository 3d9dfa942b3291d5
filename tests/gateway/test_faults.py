"""Services that are unavailable, come back, or break off: what is repeated and what is not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx

from .conftest import Gateway, StartGateway
from .upstream import Upstream, listening


class Cart(HTTPServer):
    """A service that breaks off the connection instead of answering, a number of times."""

    allow_reuse_address = True

    def __init__(self, port: int, breaks: int = 0) -> None:
        super().__init__(("127.0.0.1", port), CartHandler)
        self.breaks = breaks
        self.requests = 0


class CartHandler(BaseHTTPRequestHandler):
    """Answers 200 without a body once all breaks are used up."""

    server: Cart

    def answer(self) -> None:
        self.server.requests += 1
        if self.server.requests <= self.server.breaks:
            self.connection.close()
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815 (the names are the library's)

    def log_message(self, *_: object) -> None:
        """Silence: what happened is asserted, not read."""


@contextmanager
def running(cart: Cart) -> Iterator[Cart]:
    thread = threading.Thread(target=cart.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield cart
    finally:
        cart.shutdown()
        thread.join(10)
        cart.server_close()


def gateway_to(port: int, start_gateway: StartGateway, upstream: Upstream) -> Gateway:
    return start_gateway(services={"identity": upstream.ports["identity"], "cart": port})


def free_port() -> int:
    with listening() as sock:
        port: int = sock.getsockname()[1]
    return port


def test_a_service_that_is_away_is_a_problem_to_retry(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    with gateway_to(free_port(), start_gateway, upstream).client() as client:
        unavailable(client.get("/v1/carts/1"))
        unavailable(client.post("/v1/carts", json={}))


def test_a_service_that_is_back_is_served_again_at_once(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    """A service gets requests as soon as it listens: no ejection, no health check to wait for."""
    port = free_port()
    with gateway_to(port, start_gateway, upstream).client() as client:
        for _ in range(20):
            unavailable(client.get("/v1/carts/1"))
        with running(Cart(port)):
            assert client.get("/v1/carts/1").status_code == 200


def test_a_read_that_broke_off_is_repeated(start_gateway: StartGateway, upstream: Upstream) -> None:
    port = free_port()
    gateway = gateway_to(port, start_gateway, upstream)
    with running(Cart(port, breaks=1)) as cart, gateway.client() as client:
        assert client.get("/v1/carts/1").status_code == 200
    assert cart.requests == 2


def test_a_write_that_broke_off_is_the_clients_to_repeat(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    port = free_port()
    gateway = gateway_to(port, start_gateway, upstream)
    with running(Cart(port, breaks=1)) as cart, gateway.client() as client:
        unavailable(client.post("/v1/carts", json={}))
    assert cart.requests == 1


def unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
