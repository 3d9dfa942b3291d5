"""The gateway reports the client's address in a header of its own, whatever stands around it."""

import httpx
import pytest

from .conftest import Gateway, StartGateway

FORGED = {
    "X-Client-Address": "198.51.100.66",
    "X-Real-IP": "198.51.100.66",
    "Forwarded": "for=198.51.100.66",
}


def reported(gateway: Gateway, source: str = "127.0.0.1", **headers: str) -> str:
    """Return the address that a service reads for a request from `source`."""
    transport = httpx.HTTPTransport(local_address=source)
    with gateway.client(transport=transport) as client:
        answer = client.delete("/v1/carts/1", headers=FORGED | headers)
    return str(answer.json()["headers"]["x-client-address"])


def test_the_address_of_the_connection_is_reported(gateway: Gateway) -> None:
    assert reported(gateway) == "127.0.0.1"
    assert reported(gateway, "127.0.0.7") == "127.0.0.7"


def test_a_client_cannot_report_an_address_itself(gateway: Gateway) -> None:
    assert reported(gateway, **{"X-Forwarded-For": "198.51.100.66"}) == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("198.51.100.66, 203.0.113.1", "203.0.113.1"),
        ("2001:db8::7", "2001:db8::7"),
        ("not an address", "127.0.0.1"),
    ],
)
def test_behind_a_trusted_proxy_the_address_that_it_saw_is_reported(
    start_gateway: StartGateway, forwarded: str, expected: str
) -> None:
    behind = start_gateway(trusted_hops=1)
    assert reported(behind, **{"X-Forwarded-For": forwarded}) == expected


def test_of_two_trusted_proxies_the_first_saw_the_client(start_gateway: StartGateway) -> None:
    behind = start_gateway(trusted_hops=2)
    chain = "198.51.100.66, 203.0.113.1, 192.0.2.10"
    assert reported(behind, **{"X-Forwarded-For": chain}) == "203.0.113.1"
