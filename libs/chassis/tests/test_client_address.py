"""The client's address comes from the gateway's header alone."""

import pytest
from starlette.requests import Request

from chassis.client_address import client_address, site_of


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "client": ("127.0.0.1", 4711)})


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.7, 198.51.100.1", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_the_gateways_header_gives_the_address(reported: str, expected: str) -> None:
    assert client_address(request(x_client_address=reported)) == expected


def test_neither_the_connection_nor_other_headers_give_an_address() -> None:
    assert client_address(request(x_forwarded_for="203.0.113.7", x_real_ip="203.0.113.7")) == ""


def test_the_addresses_of_one_ipv6_site_count_together() -> None:
    assert site_of("2001:db8:0:7::1") == site_of("2001:db8:0:7:ffff::2") == "2001:db8:0:7::/64"
    assert site_of("2001:db8:0:8::1") != site_of("2001:db8:0:7::1")
    assert site_of("203.0.113.7") == "203.0.113.7"
    assert site_of("") == ""
