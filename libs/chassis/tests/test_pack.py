"""Two services in one process: apart in all that shows, and a failure of one leaves the other."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
import topology
from broker_harness import address, order, until
from sample.service import bus

from chassis import pack
from chassis.ids import new_id, utcnow
from contracts.envelope import Envelope
from testkit.harness import Harness, new_traceparent, running_service
from testkit.metrics_page import MetricsPage
from testkit.processes import free_port
from testkit.servers import setting

NAMES = ("sample", "second")
HERE = Path(__file__).parent


def settings_of(
    name: str, database_url: str = "postgresql+asyncpg://a@127.0.0.1:1/b"
) -> dict[str, str]:
    """The variables of one service of a pack."""
    bare = {
        "PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "BROKER_URL": address(name),
        "JWKS_URL": "http://127.0.0.1:9/jwks",
        "IDENTITY_URL": "http://127.0.0.1:9",
        "SERVICE_CLIENT_SECRET": "a secret only for tests",
    }
    return {f"{name}_{key}".upper(): value for key, value in bare.items()}


@dataclass
class Pack:
    """A running pack."""

    process: Process
    settings: Mapping[str, str]
    log: Path
    web: httpx.AsyncClient

    def url(self, service: str, path: str) -> str:
        return f"http://127.0.0.1:{self.settings[f'{service}_PORT'.upper()]}{path}"

    async def get(self, service: str, path: str) -> httpx.Response:
        return await self.web.get(self.url(service, path))

    async def is_ready(self, service: str) -> bool:
        try:
            return (await self.get(service, "/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def running(settings: Mapping[str, str], log: Path) -> AsyncIterator[Pack]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chassis.pack", *NAMES,
            env={**os.environ, **settings}, cwd=HERE, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        async with httpx.AsyncClient(timeout=30) as web:
            yield Pack(process, settings, log, web)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        sys.stdout.write(await asyncio.to_thread(log.read_text))  # shown when the test fails


@pytest.fixture
async def settings(template: str) -> AsyncIterator[dict[str, str]]:
    """The variables of both services; the queue of `second` is not declared yet."""
    api = setting("TEST_BROKER_API")
    await topology.vhost(api)
    found: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(topology.channel(address()))
        for name in NAMES:
            await topology.user(api, name)
            await topology.remove(channel, name)
            stack.push_async_callback(topology.remove, channel, name)
            harness = await stack.enter_async_context(database(template))
            found |= settings_of(name, harness.running.settings.database_url)
        await declare(channel, "sample")
        yield found


@asynccontextmanager
async def database(template: str) -> AsyncIterator[Harness[Any]]:
    from sample.service import service

    async for harness in running_service(service, template):
        yield harness


async def declare(channel: Any, name: str) -> None:
    keys = [(kind.exchange(), kind.routing_key()) for kind in bus.handled]
    await topology.declare(channel, name, keys if name == "sample" else [])


async def declare_second() -> None:
    async with topology.channel(address()) as channel:
        await declare(channel, "second")


async def reserve() -> None:
    """Send a command to the sample, as orders would."""
    command = order()
    await topology.user(setting("TEST_BROKER_API"), "orders")
    async with topology.channel(address("orders")) as channel:
        exchange = await channel.get_exchange("commands")
        envelope = Envelope(
            id=new_id(), source=command.source(), type=command.type_name(),
            subject=command.subject(), time=utcnow(), sequence=None,
            correlation_id=command.subject(), actor="test", traceparent=new_traceparent(),
        )  # fmt: skip
        raw = aio_pika.Message(
            command.encode(), headers={**envelope.headers()}, message_id=str(envelope.id),
            type=command.type_name(), user_id="orders",
        )  # fmt: skip
        await exchange.publish(raw, routing_key=command.routing_key())


async def test_services_of_a_pack_share_nothing_that_shows(
    settings: dict[str, str], tmp_path: Path
) -> None:
    await declare_second()
    handled = {"message": "inventory.ReserveStock", "outcome": "handled"}
    async with running(settings, tmp_path / "log") as pack:
        for name in NAMES:
            await until(partial(pack.is_ready, name))
        await reserve()

        async def page(service: str) -> MetricsPage:
            return MetricsPage.of(await pack.get(service, "/metrics"))

        async def was_handled() -> bool:
            return (await page("sample"))(
                "messaging_client_consumed_messages_total", **handled
            ) == 1

        await until(was_handled)
        other = await page("second")
        assert other("messaging_client_consumed_messages_total", **handled) == 0
        assert other("cartwright_ready") == 1
        assert "process_cpu_seconds_total" in other.names
        assert (await pack.get("second", "/v1/jars")).status_code == 404
        assert {line["service"] for line in pack.lines("consuming")} == set(NAMES)
        for line in pack.lines("consuming"):
            assert line["queue"] == f"svc.{line['service']}"

        assert (await pack.get("second", "/v1/second/busy?seconds=1.2")).status_code == 200
        (held,) = await until(lambda: pack.lines("event loop held up"))
        assert held["service"] == "second"
        assert held["seconds"] > 0.25
        assert any("hold_up" in frame for frame in held["stack"])
        assert (await page("sample"))("cartwright_event_loop_lag_seconds_sum") > 0.25

        pack.process.send_signal(signal.SIGTERM)
        assert await pack.process.wait() == 0


@asynccontextmanager
async def polling(pack: Pack, service: str, path: str) -> AsyncIterator[list[httpx.Response]]:
    """All answers of a service that is requested all the time."""
    found: list[httpx.Response] = []

    async def request() -> None:
        while True:
            with suppress(httpx.TransportError):
                found.append(await pack.get(service, path))
            await asyncio.sleep(0.01)

    requesting = asyncio.create_task(request())
    try:
        yield found
    finally:
        requesting.cancel()


async def test_a_failing_service_restarts_alone(settings: dict[str, str], tmp_path: Path) -> None:
    await declare_second()
    async with AsyncExitStack() as stack:
        pack = await stack.enter_async_context(running(settings, tmp_path / "log"))
        for name in NAMES:
            await until(partial(pack.is_ready, name))
        others, ready, alive, refused = [
            await stack.enter_async_context(polling(pack, service, path))
            for service, path in (
                ("sample", "/v1/jars"),
                ("second", "/readyz"),
                ("second", "/livez"),
                ("second", "/v1/second/busy?seconds=0"),
            )
        ]
        assert (await pack.web.post(pack.url("second", "/v1/second/failure"))).status_code == 202
        (failed,) = await until(lambda: pack.lines("service failed, restarting"))
        await until(
            lambda: len([x for x in pack.lines("consuming") if x["service"] == "second"]) == 2
        )
        await until(lambda: ready[-1].status_code == refused[-1].status_code == 200)

    assert (failed["service"], failed["pause"]) == ("second", 1.0)
    assert "TypeError" in failed["exception"]
    assert "restarting" in {answer.json()["checks"].get("process") for answer in ready}
    assert {answer.status_code for answer in alive} == {200}
    codes = {answer.json().get("code") for answer in refused if answer.status_code == 503}
    assert codes == {"unavailable"}
    assert {answer.status_code for answer in others} == {200}
    assert [line["service"] for line in pack.lines("consuming")].count("sample") == 1


async def test_a_service_that_fails_three_times_within_a_minute_ends_the_process(
    settings: dict[str, str], tmp_path: Path
) -> None:
    async with running(settings, tmp_path / "log") as pack:
        async with asyncio.timeout(60):
            assert await pack.process.wait() == 1
        (last,) = pack.lines("stopping because a service failed")
        assert last["failed"] == "second"
        assert "svc.second" in last["error"]
        assert len(pack.lines("service failed, restarting")) == 2


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.syspath_prepend(HERE)
    for name in NAMES:
        for variable, value in settings_of(name).items():
            monkeypatch.setenv(variable, value)
    return monkeypatch


def faults(*names: str) -> str:
    with pytest.raises(pack.CannotStart) as refused:
        pack.load(names)
    return str(refused.value)


def test_each_service_reads_its_own_variables(surroundings: pytest.MonkeyPatch) -> None:
    surroundings.setenv("POOL_SIZE", "5")
    surroundings.setenv("SECOND_POOL_SIZE", "6")
    found = {service.name: settings.pool_size for service, settings in pack.load(NAMES)}
    assert found == {"sample": 8, "second": 6}


def test_every_fault_of_every_service_is_named_at_once(surroundings: pytest.MonkeyPatch) -> None:
    surroundings.delenv("SAMPLE_BROKER_URL")
    surroundings.setenv("BROKER_URL", "amqp://all:canary@127.0.0.1/a")
    surroundings.setenv("SECOND_POOL_SIZE", "2")
    surroundings.setenv("SECOND_DATABASE_URL", "mysql://root:canary@db/shop")
    found = faults(*NAMES, "jam", "second", "../etc")
    for part in (
        "SAMPLE_BROKER_URL: Field required",
        "for example SAMPLE_BROKER_URL=",
        "SECOND_POOL_SIZE: ",
        "SECOND_DATABASE_URL: ",
        "no service 'jam'",
        "no service '../etc'",
        "second is named twice",
    ):
        assert part in found
    assert "canary" not in found


def test_two_services_cannot_share_a_port(surroundings: pytest.MonkeyPatch) -> None:
    port = str(free_port())
    surroundings.setenv("SAMPLE_PORT", port)
    surroundings.setenv("SECOND_PORT", port)
    assert f"SECOND_PORT: {port} is the port of sample" in faults(*NAMES)


def test_a_port_in_use_is_named(surroundings: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        surroundings.setenv("SECOND_PORT", str(port))
        assert f"SECOND_PORT: {port} cannot be bound" in faults(*NAMES)


async def test_a_pack_with_a_wrong_setting_starts_nothing(tmp_path: Path) -> None:
    settings = settings_of("sample") | settings_of("second") | {"SECOND_POOL_SIZE": "1"}
    async with running(settings, tmp_path / "log") as pack:
        assert await pack.process.wait() == 2
    assert "SECOND_POOL_SIZE" in (tmp_path / "log").read_text()
