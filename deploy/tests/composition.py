"""The running composition, and what the engine knows of its containers."""

import contextlib
import json
import os
import subprocess
import time
from typing import Any

import httpx

from shopfloor import Buyer, Product
from suite.compose import Project

PATIENT = httpx.Timeout(60.0)
DEADLINE = 240.0
# Seconds after which an engine that does not answer is a failure.
LONGEST = 600.0
# What no service can read, put into its queue by the broker's administrator.
POISON = """
import base64, json, sys, urllib.request
body = {"properties": {}, "routing_key": "svc.notifications", "payload": "?", "payload_encoding": "string"}
url = "http://rabbitmq:15672/api/exchanges/cartwright/amq.default/publish"
login = base64.b64encode(("admin:" + sys.argv[1]).encode()).decode()
headers = {"Authorization": "Basic " + login, "Content-Type": "application/json"}
request = urllib.request.Request(url, json.dumps(body).encode(), headers)
assert json.load(urllib.request.urlopen(request)) == {"routed": True}
"""


def docker(*arguments: str) -> str:
    """What docker printed; an error is an assertion with its output."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=LONGEST
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def inspected(name: str) -> dict[str, Any]:
    """What the engine knows of a container or an image."""
    (found,) = json.loads(docker("inspect", name))
    return found


async def buys(buyer: Buyer, product: Product) -> dict[str, Any]:
    """Buy one piece and follow the order until it is confirmed, however long that takes."""
    order = await buyer.buys(product, wait=0)
    return dict(await buyer.reaches(order["id"], "confirmed", DEADLINE))


class Composition:
    """The running composition."""

    def __init__(self, project: Project, password: str) -> None:
        self.project = project
        self.password = password
        self.url = "http://127.0.0.1:8080"

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.project.run("ps", "-q", service).strip()

    def kill(self, *services: str) -> None:
        """End the processes from outside with SIGKILL, as a crash would."""
        for service in services:
            pid = inspected(self.container(service))["State"]["Pid"]
            os.kill(pid, 9)

    def poison(self) -> None:
        """Put an unreadable message into the queue of notifications."""
        lines = (line.partition("=") for line in self.project.env_file.read_text().splitlines())
        password = {name: value for name, _, value in lines}["BROKER_ADMIN_PASSWORD"]
        put = ("exec", "-T", "notifications", "python", "-c", POISON, password)
        self.project.run(*put)

    def wait_served(self) -> None:
        """Wait until the gateway serves, however long its container's own check takes."""
        wait_limit = time.monotonic() + DEADLINE
        while not self._served():
            assert time.monotonic() < wait_limit, self.project.run("ps")
            time.sleep(0.2)

    def _served(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=5).is_success
        return False

    def wait_healthy(self, *services: str) -> None:
        """Wait until the containers' own checks succeed."""
        wait_limit = time.monotonic() + DEADLINE
        for service in services:
            while (state := inspected(self.container(service))["State"])["Health"]["Status"] != (
                "healthy"
            ):
                assert time.monotonic() < wait_limit, f"{service}: {state}"
                time.sleep(0.2)
