"""The broker or the databases unavailable, at a service's start and in the midst of work; settings that are wrong."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest_asyncio

from chaos_buyers import Persistent
from invariants import SERVICES, InvariantChecker
from provision import broker
from shopfloor import ENDED, Buyer, Staff, key, ok, until
from suite import repository, topology
from suite.instance import Instance
from testkit.harness import PLAIN


async def health(instance: Instance, service: str, path: str) -> httpx.Response | None:
    """A service's own answer about itself, or None while it does not listen."""
    async with httpx.AsyncClient(base_url=instance.url(service), verify=PLAIN) as http:
        try:
            return await http.get(path)
        except httpx.TransportError:
            return None


async def is_red(instance: Instance, service: str, part: str) -> bool:
    """Whether a service is live and reports that this dependency is unavailable."""
    alive, ready = [await health(instance, service, path) for path in ("/livez", "/readyz")]
    if alive is None or ready is None:
        return False
    return alive.status_code == 200 and ready.status_code == 503 and part in ready.text


async def is_green(instance: Instance, service: str) -> bool:
    """Whether a service reports that it is ready."""
    answer = await health(instance, service, "/readyz")
    return answer is not None and answer.status_code == 200


@pytest_asyncio.fixture
async def without(instance: Instance) -> AsyncIterator[Any]:
    """Stops servers; whatever happens, they run again afterwards and everything is ready."""
    stopped: list[str] = []

    async def stop(name: str) -> None:
        stopped.append(name)
        await asyncio.to_thread(instance.stop_process, name)

    yield stop
    for name in stopped:
        await asyncio.to_thread(instance.start_process, name)
    await asyncio.to_thread(instance.wait_ready)


async def test_without_a_broker_orders_are_taken_and_proceed_when_it_comes(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker, without: Any
) -> None:
    product = await staff.sell(stock=10)
    await buyer.fill((product, 1))
    await without("rabbitmq")
    # One that runs on has lost its connections, one that is killed starts without any.
    await asyncio.to_thread(instance.kill, "orders")
    for service in ("orders", "inventory"):
        await until(partial(is_red, instance, service, "broker"))

    answer = await Persistent(buyer.http).send(
        "POST", "/v1/orders", json=buyer.order(), headers={**buyer.headers, **key()}
    )
    order = ok(answer)
    assert order["status"] == "pending"
    assert await at_rest.rows("orders", "select 1 from outbox where subject = $1", order["id"])

    await asyncio.to_thread(instance.start_process, "rabbitmq")
    saga = await staff.ended(order["id"])
    assert saga["steps"][0]["heard"] == "Placed"


async def test_services_report_missing_databases_and_recover(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker, without: Any
) -> None:
    product = await staff.sell(stock=10)
    await buyer.fill((product, 1))
    order = ok(await buyer.check_out(wait=0))
    await without("postgres")
    await asyncio.to_thread(instance.kill, "shipping")
    for service in SERVICES:
        await until(partial(is_red, instance, service, "database"))

    for path in ("/v1/products", f"/v1/orders/{order['id']}", f"/v1/carts/{buyer.cart_id}"):
        answer = await buyer.http.get(path, headers=buyer.headers)
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "database_unavailable"
        assert "retry-after" in answer.headers

    await asyncio.to_thread(instance.start_process, "postgres")
    for service in SERVICES:
        await until(partial(is_green, instance, service))
    assert (await staff.ended(order["id"]))["stage"] in ENDED
    assert (await buyer.read(order["id"]))["status"] in ("confirmed", "cancelled")


async def test_a_service_without_its_queue_reports_it_and_does_not_start(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    management = instance.environment.broker.management_url
    before = instance.log("promotions").stat().st_size
    async with httpx.AsyncClient(base_url=management) as client:
        gone = await client.delete("/api/queues/cartwright/svc.promotions")
        assert gone.status_code == 204
    try:
        await until(lambda: is_red(instance, "promotions", "broker"))
        await asyncio.to_thread(instance.kill, "promotions")
        printed = await until(lambda: logged(instance, "promotions", before, "svc.promotions"))
        assert "definitions.json" in printed
    finally:
        wanted = topology.with_users(repository.ROOT, SERVICES, instance.environment.secrets)
        await asyncio.to_thread(broker.apply_definitions, management, wanted)
        await asyncio.to_thread(instance.restart, "promotions")
    product = await staff.sell(stock=3)
    code = await staff.coupon()
    await buyer.fill((product, 1))
    assert ok(await buyer.check_out(coupon_code=code))["status"] == "confirmed"


async def logged(instance: Instance, name: str, since: int, word: str) -> str | None:
    """What a process gave as its reason for stopping, in its log from this byte on."""
    with instance.log(name).open("rb") as log:
        log.seek(since)
        for line in log.read().decode().splitlines():
            if "stopping because" in line and word in line:
                return str(json.loads(line)["error"])
    return None


async def test_wrong_settings_are_explained_and_nothing_starts(instance: Instance) -> None:
    at_once = asyncio.Semaphore(os.cpu_count() or 1)

    async def explained(service: str) -> None:
        async with at_once:
            await refuses_to_start(instance, service)

    await asyncio.gather(*(explained(service) for service in SERVICES))


async def refuses_to_start(instance: Instance, service: str) -> None:
    """Start a service with settings that are wrong, and find each of them explained."""
    given = instance.env(service)
    del given["BROKER_URL"]
    wrong = {
        "PORT": "many",
        "DATABASE_URL": "mysql://person:hush-hush@127.0.0.1/shop",
        "RETRY_TIERS": "soon, then later",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", service, "api",
        env={**given, **wrong, "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    printed = output.decode()

    assert process.returncode == 2, printed
    for name, form, example in (
        ("BROKER_URL", "RabbitMQ, as the service's own user", "amqp://"),
        ("PORT", "the TCP port to listen on", "8101"),
        ("DATABASE_URL", "the service's own database", "postgresql+asyncpg://"),
    ):
        assert f"{name}:" in printed
        assert form in printed
        assert f"{name}={example}" in printed
    assert "RETRY_TIERS" in printed
    assert "hush-hush" not in printed
    assert "Traceback" not in printed
