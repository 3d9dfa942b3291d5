"""The compose file brought up: a customer buys, parts die and come back, nothing more is open than must."""

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest
from composition import Composition, buys, docker, inspected

from chaos_buyers import Persistent
from shopfloor import Buyer, Staff, key, ok, until

SERVERS = {"postgres", "rabbitmq"}
# The official images of both run as nobody.
PROMETHEUS, NOBODY = {"prometheus", "alertmanager"}, "65534:65534"
BUYERS = 3


def containers(composition: Composition) -> dict[str, dict[str, Any]]:
    """Every container of the composition by its service, jobs included."""
    project = f"label=com.docker.compose.project={composition.project.name}"
    ids = docker("ps", "--all", "--quiet", "--filter", project).split()
    found = [inspected(each) for each in ids]
    return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}


async def test_a_guest_buys_and_is_sent_a_mail(
    composition: Composition, staff: Staff, http: httpx.AsyncClient
) -> None:
    buyer = Buyer(http, staff)
    product = await staff.sell(stock=5)
    order = await buys(buyer, product)
    assert (await staff.ended(order["id"]))["stage"] == "completed"

    async def mail() -> bool:
        answer = await http.get("/mail/")
        return buyer.email in ok_text(answer)

    await until(mail, 120)
    document = ok(await http.get("/docs/openapi.json"))
    assert "/v1/orders" in document["paths"]


def ok_text(answer: httpx.Response) -> str:
    """The text of an answer that must be a success."""
    assert answer.is_success, answer.text
    return answer.text


@pytest.mark.parametrize(
    "victims",
    [
        ("orders", "rabbitmq"),
        pytest.param(("inventory", "postgres"), marks=pytest.mark.thorough),
    ],
)
async def test_what_is_killed_comes_back_and_every_order_ends(
    composition: Composition, staff: Staff, http: httpx.AsyncClient, victims: tuple[str, ...]
) -> None:
    product = await staff.sell(stock=20)
    client = Persistent(http)
    buyers = [Buyer(http, staff) for _ in range(BUYERS)]
    for buyer in buyers:
        await buyer.fill((product, 1))
    orders = [
        asyncio.create_task(
            client.send(
                "POST", "/v1/orders", json=buyer.order(), headers={**buyer.headers, **key()}
            )
        )
        for buyer in buyers
    ]
    await asyncio.wait(orders, return_when=asyncio.FIRST_COMPLETED)
    before = [inspected(composition.container(name))["State"]["StartedAt"] for name in victims]
    await asyncio.to_thread(composition.kill, *victims)
    made = [ok(answer)["id"] for answer in await asyncio.gather(*orders)]
    await asyncio.to_thread(composition.wait_healthy, *victims)
    after = [inspected(composition.container(name))["State"]["StartedAt"] for name in victims]
    assert set(before).isdisjoint(after)
    assert len(set(made)) == BUYERS
    assert client.faults == []

    async def ended(order_id: str) -> bool:
        answer = await client.send("GET", f"/v1/admin/sagas/{order_id}", headers=staff.headers)
        return ok(answer)["stage"] in ("completed", "cancelled")

    for order_id in made:
        await until(partial(ended, order_id), 120)
    # It sells again.
    await buys(Buyer(http, staff), product)


def test_nothing_is_published_but_the_gateway(composition: Composition) -> None:
    published = {
        name: [
            port for ports in found["NetworkSettings"]["Ports"].values() if ports for port in ports
        ]
        for name, found in containers(composition).items()
        if found["State"]["Running"]
    }
    assert {name for name, ports in published.items() if ports} == {"gateway"}
    assert {port["HostIp"] for port in published["gateway"]} == {"127.0.0.1"}


def test_every_container_is_confined(composition: Composition) -> None:
    for name, found in containers(composition).items():
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert 0 < host["Memory"] <= 1 << 30, name
        assert not host["Privileged"], name
        assert found["State"]["OOMKilled"] is False, name
        if name not in SERVERS:
            assert found["Config"]["User"] == ("10001:10001" if name not in PROMETHEUS else NOBODY)
            assert not host["CapAdd"], name


def test_the_jobs_ended_well(composition: Composition, services: list[str]) -> None:
    jobs = ["provision", *(f"{name}-migrate" for name in services)]
    found = containers(composition)
    assert {name: found[name]["State"]["ExitCode"] for name in jobs} == dict.fromkeys(jobs, 0)


@pytest.mark.thorough
@pytest.mark.parametrize("job", ["provision", "orders-migrate"])
def test_a_job_is_harmless_to_repeat(composition: Composition, job: str) -> None:
    composition.project.run("run", "-T", "--rm", "--no-deps", job)


def test_no_image_or_log_reveals_a_secret(composition: Composition) -> None:
    values = composition.project.env_file.read_text().splitlines()
    secrets = [v.partition("=")[2] for v in values if "PASSWORD" in v or "SECRET=" in v]
    assert len(secrets) > 20
    output = composition.project.run("logs", "--no-color")
    assert [secret for secret in secrets if secret in output] == []
