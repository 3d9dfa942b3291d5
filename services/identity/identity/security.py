"""Log lines of security events. They name ids and networks: no e-mail address, no secret."""

from ipaddress import ip_network
from typing import Any

import structlog

log = structlog.get_logger("security")

IPV4_NETWORK_PREFIX = 24
IPV6_NETWORK_PREFIX = 48


def record(event: str, ip_address: str = "", **facts: Any) -> None:
    """Write one line. An address is cut to its network, so that it points to no single person."""
    log.warning(event, network=network_of(ip_address), **facts)


def network_of(ip_address: str) -> str:
    """Return the /24 of an IPv4 address or the /48 of an IPv6 address; "" when there is none."""
    if not ip_address:
        return ""
    prefix = IPV6_NETWORK_PREFIX if ":" in ip_address else IPV4_NETWORK_PREFIX
    return str(ip_network(f"{ip_address}/{prefix}", strict=False))
