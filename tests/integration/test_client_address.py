"""Limits count clients, not gateways: a gateway on another address, with a proxy in front of it."""

import asyncio
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from shopfloor import Buyer, Staff, ok, until
from suite import repository
from suite.instance import Instance
from testkit.harness import PLAIN

RENDER = repository.ROOT / "deploy/gateway/render.py"
GATEWAY_ADDRESS = "127.0.0.9"
# The limit that the test profile sets.
GUESSES = 100


@pytest.fixture
def second_gateway(instance: Instance, tmp_path: Path) -> Iterator[str]:
    """The URL of a gateway that calls services from another address and trusts one proxy."""
    with socket.socket() as gateway, socket.socket() as admin:
        gateway.bind(("127.0.0.1", 0))
        admin.bind(("127.0.0.1", 0))
        port = gateway.getsockname()[1]
        ports = {
            "gateway_port": port,
            "admin_port": admin.getsockname()[1],
            "metrics_port": None,
        }
    services = repository.services(repository.ROOT)
    settings = instance.environment.of_gateway(list(services)) | ports | {"trusted_hops": 1}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    command = [
        sys.executable,
        str(RENDER),
        "--out",
        str(tmp_path),
        "--env",
        str(tmp_path / "settings.json"),
    ]
    subprocess.run(command, check=True)
    clusters = json.loads((tmp_path / "clusters.yaml").read_text())
    for each in clusters["resources"]:
        source = {"address": GATEWAY_ADDRESS, "port_value": 0}
        each["upstream_bind_config"] = {"source_address": source}
    (tmp_path / "clusters.yaml").write_text(json.dumps(clusters))
    envoy = [str(Path(sys.executable).with_name("envoy")), "-c", str(tmp_path / "envoy.yaml")]
    options = ["--base-id", str(secrets.randbelow(2**31)), "--concurrency", "1"]
    with (
        (tmp_path / "envoy.log").open("wb") as output,
        subprocess.Popen([*envoy, *options], stdout=output, stderr=output) as process,
    ):
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest_asyncio.fixture
async def behind_proxy(second_gateway: str) -> AsyncIterator[httpx.AsyncClient]:
    """The proxy in front of that gateway."""
    async with httpx.AsyncClient(base_url=second_gateway, verify=PLAIN, timeout=40) as client:
        await until(lambda: answers(client))
        yield client


async def answers(client: httpx.AsyncClient) -> bool:
    """Whether the gateway is ready and has identity's keys."""
    try:
        answer = await client.get("/v1/countries", headers={"Authorization": "Bearer x.y.z"})
    except httpx.TransportError:
        return False
    return answer.status_code == 401


async def test_guesses_behind_a_gateway_elsewhere_lock_out_their_own_address_only(
    behind_proxy: httpx.AsyncClient, staff: Staff
) -> None:
    owner = Buyer(behind_proxy, staff)
    password = f"{secrets.token_hex(12)} dandelions"
    names = {"first_name": "Ada", "last_name": "Byron"}
    account = {"email": owner.email, "password": password, **names}
    ok(await behind_proxy.post("/v1/auth/register", json=account))

    async def log_in(address: str, secret: str) -> httpx.Response:
        body = {"email": owner.email, "password": secret}
        # The attacker forges the beginning of the chain; the proxy appends what it saw.
        headers = {"X-Forwarded-For": f"203.0.113.5, {address}"}
        return await behind_proxy.post("/v1/auth/login", json=body, headers=headers)

    guesses = (log_in("198.51.100.1", f"guess number {n}, long") for n in range(GUESSES + 5))
    answered = [answer.status_code for answer in await asyncio.gather(*guesses)]
    assert sorted(answered) == [401] * GUESSES + [429] * 5
    assert (await log_in("198.51.100.1", password)).status_code == 429

    login = ok(await log_in("203.0.113.5", password))
    owner.access_token = login["access_token"]
    page = ok(await behind_proxy.get("/v1/me/sessions", headers=owner.headers))
    assert [session["ip_address"] for session in page["items"]] == ["203.0.113.5"]
