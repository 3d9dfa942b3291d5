"""The servers that tests run on, which the first test in need of them has started."""

import json
import os
import socket

# The path of a Unix socket at which the runner answers with the settings of running servers.
SOCKET = "TEST_SERVERS_SOCKET"


def setting(name: str) -> str:
    """TEST_POSTGRES_URL (a superuser's), TEST_BROKER_URL or TEST_BROKER_API (the admin's).

    Raises RuntimeError outside of `make test` and when the servers cannot start.
    """
    if name not in os.environ:
        os.environ.update(_started())
    return os.environ[name]


def _started() -> dict[str, str]:
    """Wait until PostgreSQL and RabbitMQ are ready; returns their settings."""
    address = os.environ.get(SOCKET)
    if address is None:
        raise RuntimeError("there are no servers for tests: run the tests with `make test`")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        with client.makefile("rb") as answer:
            found: dict[str, str] = json.load(answer)
    if "error" in found:
        raise RuntimeError(f"the servers for tests did not start: {found['error']}")
    return found
