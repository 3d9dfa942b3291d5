"""How much one caller may ask: requests per minute, bytes, headers, time."""

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from .conftest import Gateway, StartGateway
from .upstream import Identity, Upstream

MIB = 1024 * 1024


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_an_address_has_a_limit(start_gateway: StartGateway) -> None:
    limited = start_gateway(rate_limit_per_address=20)
    with limited.client() as client:
        answers = [client.delete("/v1/carts/1") for _ in range(25)]
    allowed = [answer for answer in answers if answer.status_code == 200]
    assert 15 <= len(allowed) <= 21
    assert [int(answer.headers["x-ratelimit-remaining"]) for answer in allowed] == sorted(
        (int(answer.headers["x-ratelimit-remaining"]) for answer in allowed), reverse=True
    )
    too_many(answers[-1], limit=20, retry_after=3)


def test_forged_tokens_are_counted_before_they_are_checked(start_gateway: StartGateway) -> None:
    limited = start_gateway(rate_limit_per_address=5)
    with limited.client() as client:
        answers = [client.get("/v1/me", headers=bearer("forged")) for _ in range(8)]
    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429


def test_a_forwarded_address_is_no_way_around_the_limit(start_gateway: StartGateway) -> None:
    limited = start_gateway(rate_limit_per_address=5)
    with limited.client() as client:
        for number in range(8):
            spoofed = {"X-Forwarded-For": f"10.0.0.{number}"}
            answer = client.delete("/v1/carts/1", headers=spoofed)
    assert answer.status_code == 429


def test_addresses_behind_a_trusted_proxy_are_counted_apart(start_gateway: StartGateway) -> None:
    limited = start_gateway(rate_limit_per_address=5, trusted_hops=1)
    with limited.client() as client:
        for _ in range(8):
            greedy = client.delete("/v1/carts/1", headers={"X-Forwarded-For": "203.0.113.1"})
        modest = client.delete("/v1/carts/1", headers={"X-Forwarded-For": "203.0.113.2"})
    assert (greedy.status_code, modest.status_code) == (429, 200)


def test_each_principal_has_a_limit_of_its_own(
    start_gateway: StartGateway, identity: Identity
) -> None:
    limited = start_gateway(rate_limit_per_principal=5)
    greedy, modest = identity.token(sub="greedy"), identity.token(sub="modest")
    with limited.client() as client:
        answers = [client.delete("/v1/carts/1", headers=bearer(greedy)) for _ in range(8)]
        too_many(answers[-1], limit=5, retry_after=12)
        new_token = identity.token(sub="greedy", lives=200)
        assert client.delete("/v1/carts/1", headers=bearer(new_token)).status_code == 429
        assert client.delete("/v1/carts/1", headers=bearer(modest)).status_code == 200
        for _ in range(30):
            assert client.delete("/v1/carts/1").status_code == 200


def test_the_headers_show_the_limit_that_is_nearer(
    start_gateway: StartGateway, identity: Identity
) -> None:
    limited = start_gateway(rate_limit_per_address=10, rate_limit_per_principal=5)
    with limited.client() as client:
        own = client.delete("/v1/carts/1", headers=bearer(identity.token(sub="own")))
        guest = client.delete("/v1/carts/1")
    assert own.headers.get_list("x-ratelimit-limit") == ["5"]
    assert own.headers.get_list("x-ratelimit-remaining") == ["4"]
    assert guest.headers.get_list("x-ratelimit-limit") == ["10"]
    # The address gets a request back every six seconds.
    assert guest.headers.get_list("x-ratelimit-remaining") in (["8"], ["9"])


def test_a_hundred_principals_are_all_remembered(
    start_gateway: StartGateway, identity: Identity
) -> None:
    limited = start_gateway(rate_limit_per_principal=2)
    with limited.client() as client:
        for number in range(100):
            token = identity.token(sub=f"buyer {number}")
            for expected in (200, 200, 429):
                answer = client.delete("/v1/carts/1", headers=bearer(token))
                assert answer.status_code == expected
        first = identity.token(sub="buyer 0")
        assert client.delete("/v1/carts/1", headers=bearer(first)).status_code == 429


def test_zero_switches_the_limits_off(gateway: Gateway, identity: Identity) -> None:
    with gateway.client(headers=bearer(identity.token())) as client:
        answers = [client.delete("/v1/carts/1") for _ in range(300)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any(name.startswith("x-ratelimit") for name in answers[0].headers)


def test_a_body_of_one_mebibyte_passes(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.post("/v1/carts", content=b"x" * MIB).json()["body_bytes"] == MIB


@pytest.mark.parametrize(
    "headers", [{"Content-Length": str(200 * MIB)}, {}], ids=["announced", "chunked"]
)
def test_a_bigger_body_is_refused_without_being_read(
    gateway: Gateway, upstream: Upstream, headers: dict[str, str]
) -> None:
    sent, received_before = 0, upstream.bytes_received

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += MIB
            yield b"x" * MIB

    with gateway.client() as client:
        answer = client.post("/v1/carts", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert sent < 20 * MIB
    assert upstream.bytes_received == received_before


@pytest.mark.parametrize(
    "bomb",
    [{"X-Big": "x" * 20_000}, {f"X-{number}": "x" for number in range(150)}],
    ids=["one long header", "many short ones"],
)
def test_too_many_headers_are_refused(gateway: Gateway, bomb: dict[str, str]) -> None:
    with gateway.client() as client:
        answer = client.delete("/v1/carts/1", headers=bomb)
    assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")


@pytest.fixture(scope="module")
def impatient(start_gateway: StartGateway) -> Gateway:
    return start_gateway(seconds={"headers": 1, "request": 2, "answer": 1, "wait": 1})


def test_the_settings_shorten_time_limits_that_are_there_by_default(gateway: Gateway) -> None:
    configuration = httpx.get(gateway.admin_url + "/config_dump").text
    for limit in (
        '"request_headers_timeout": "10s"',
        '"request_timeout": "30s"',
        '"timeout": "30s"',
        '"timeout": "35s"',
    ):
        assert limit in configuration, limit


def test_slow_headers_are_cut_off(impatient: Gateway) -> None:
    seconds = drip(impatient, b"GET /v1/me HTTP/1.1\r\nHost: shop\r\n", b"X-Slow: yes\r\n")
    assert 0.5 < seconds < 5


def test_a_slow_body_is_cut_off(impatient: Gateway, upstream: Upstream) -> None:
    received_before = upstream.bytes_received
    head = b"POST /v1/carts HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\n"
    assert 1.5 < drip(impatient, head, b"x") < 6
    assert upstream.bytes_received == received_before


def drip(gateway: Gateway, start: bytes, drop: bytes) -> float:
    """Send a request drop by drop; how many seconds until the gateway has had enough."""
    began = time.monotonic()
    with socket.create_connection((gateway.host, gateway.port)) as connection:
        connection.settimeout(0.1)
        connection.sendall(start)
        answer = b""
        while time.monotonic() - began < 15:
            try:
                connection.sendall(drop)
                received = connection.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if not received:
                break
            answer += received
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b'"code":"request_timeout"' in answer
    return time.monotonic() - began


def test_a_service_that_takes_too_long_is_given_up(impatient: Gateway, upstream: Upstream) -> None:
    upstream.may_go_on.clear()
    try:
        with impatient.client() as client:
            answer = client.get("/v1/shipments/stuck")
    finally:
        upstream.may_go_on.set()
    assert (answer.status_code, answer.json()["code"]) == (504, "gateway_timeout")


def too_many(answer: httpx.Response, limit: int, retry_after: int) -> None:
    assert answer.status_code == 429
    assert (answer.json()["code"], answer.json()["status"]) == ("rate_limited", 429)
    assert answer.headers.get_list("x-ratelimit-limit") == [str(limit)]
    assert answer.headers.get_list("x-ratelimit-remaining") == ["0"]
    assert answer.headers.get_list("retry-after") == [str(retry_after)]
    assert "x-envoy-ratelimited" not in answer.headers
