"""Query the process in this container for readiness; the exit code is the result.

It runs every few seconds beside every process, so it imports nothing that takes time to load.
"""

import os
import socket
import sys

REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
path = os.environ.get("HEALTH_PATH", "/readyz").encode()

try:
    with socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), timeout=4) as connection:
        connection.sendall(REQUEST % path)
        answer = connection.recv(2000).decode(errors="replace")
except OSError as error:
    sys.exit(f"no answer: {error}")
# The service's own reason shows in `docker inspect`.
sys.stdout.write(answer.rpartition("\r\n\r\n")[2])
sys.exit(" 200 " not in answer.partition("\r\n")[0])
