"""Time limits of database sessions, for the server and the client.

A lost or frozen process must not hold its locks: the server ends its session. A process whose
server is lost notices by its socket and by the time limit of its statements.
"""

import socket
from asyncio import Transport
from typing import Final

SILENCE: Final = 10
"""Seconds after which an idle session that holds a lock is ended."""
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 4, 2, 3

# PostgreSQL applies these to its side of the connection. They do not limit a statement while its
# client is alive, so migrations use them, too.
ALL_SESSIONS: Final = {
    "idle_in_transaction_session_timeout": f"{SILENCE}s",
    "client_connection_check_interval": f"{KEEPALIVE_INTERVAL}s",
    "tcp_keepalives_idle": str(KEEPALIVE_IDLE),
    "tcp_keepalives_interval": str(KEEPALIVE_INTERVAL),
    "tcp_keepalives_count": str(KEEPALIVE_COUNT),
    "tcp_user_timeout": str(SILENCE * 1000),
}
# These also limit statements and lock waits. The limits are shorter than the client's own, so that
# a live server reports the statement.
SERVICE_SESSIONS: Final = ALL_SESSIONS | {"lock_timeout": f"{SILENCE}s", "statement_timeout": "20s"}


def apply_to(transport: Transport) -> None:
    """Set the same limits on the client's socket; options that the system lacks are skipped."""
    found = transport.get_extra_info("socket")
    if found is None or found.family == getattr(socket, "AF_UNIX", None):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", SILENCE * 1000),
    ):
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
