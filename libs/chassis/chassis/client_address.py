"""The client's network address, which the gateway reports in its own header."""

from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request

HEADER = "X-Client-Address"
IPV6_SITE_PREFIX = 64


def client_address(request: Request) -> str:
    """The client's IP address, or "" when the gateway reported none.

    The gateway overwrites the header on every request. The address of the connection is never used:
    it is the gateway's own.
    """
    try:
        found = ip_address(request.headers.get(HEADER, "").partition("%")[0])
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def site_of(address: str) -> str:
    """The key of a limit per address: an IPv4 address, or the /64 of an IPv6 address.

    An IPv6 subscriber owns at least a /64 and may use each of its addresses (RFC 6177).
    """
    if ":" not in address:
        return address
    return str(ip_network(f"{address}/{IPV6_SITE_PREFIX}", strict=False))
