"""Crash points: one failure for each order to fail, by exception or by SIGKILL."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from broker_harness import BrokerHarness, take
from sample.service import service

from chassis import outbox
from chassis.ids import new_id
from chassis.service import Service
from chassis.settings import ServiceSettings
from contracts.inventory import ReserveStock, StockReleased, WantedLine
from contracts.payments import CancelPayment, PaymentCancelled
from testkit import at_start, crash_points
from testkit.crash_points import Failed, Point, ServicePoints
from testkit.harness import Harness, running_service

RESERVE = ReserveStock.routing_key()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(crash_points.FOLDER, str(tmp_path))
    crash_points.install(monkeypatch.setattr)
    return tmp_path


@pytest_asyncio.fixture
async def sample(template: str, folder: Path) -> AsyncIterator[Harness[ServiceSettings]]:
    async for harness in running_service(service, template):
        yield harness


def order_failure(folder: Path, point: Point, name: str) -> None:
    place = folder / "sample" / point
    place.mkdir(parents=True, exist_ok=True)
    (place / name).touch()


def passed(folder: Path) -> list[str]:
    return (folder / crash_points.LOG).read_text().splitlines()


def order() -> ReserveStock:
    line = WantedLine(line_id=new_id(), variant_id=new_id(), quantity=1)
    return ReserveStock(operation_id=new_id(), order_id=new_id(), lines=[line])


def run(environment: dict[str, str], program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_one_order_is_one_failure_of_the_message_it_names(tmp_path: Path) -> None:
    points = ServicePoints(tmp_path, "sample")
    order_failure(tmp_path, Point.AFTER_CALL, "payments.CollectPayment.raise")
    points.reached(Point.AFTER_CALL, ["payments.RefundPayment"])
    points.reached(Point.BEFORE_CALL, ["payments.CollectPayment"])
    with pytest.raises(Failed):
        points.reached(Point.AFTER_CALL, ["payments.CollectPayment"])
    points.reached(Point.AFTER_CALL, ["payments.CollectPayment"])
    assert len(passed(tmp_path)) == 4


def test_a_crash_leaves_no_time_for_anything(tmp_path: Path) -> None:
    order_failure(tmp_path, Point.BEFORE_ACK, "a.B.crash")
    program = (
        "import pathlib; from testkit.crash_points import Point, ServicePoints as points;"
        f"points(pathlib.Path({str(tmp_path)!r}), 'sample').reached(Point.BEFORE_ACK, ['a.B']);"
        "print('lived on')"
    )
    ended = run({}, program)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == ""


def test_a_process_has_crash_points_from_its_start_and_others_none(tmp_path: Path) -> None:
    program = "from chassis.service import Service; print(Service.compose.__module__)"
    assert run(crash_points.environment(tmp_path), program).stdout == f"{crash_points.__name__}\n"
    assert run({}, program).stdout == f"{Service.__module__}\n"


def test_a_process_ends_when_it_cannot_be_changed_at_its_start() -> None:
    ended = run(at_start.environment(f"{crash_points.__name__}:gone"), "print('lived on')")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "AttributeError" in ended.stderr


async def test_a_failure_before_the_commit_undoes_everything(
    sample: Harness[Any], folder: Path
) -> None:
    order_failure(folder, Point.BEFORE_COMMIT, f"{RESERVE}.raise")
    command, message_id = order(), new_id()
    with pytest.raises(Failed):
        await sample.deliver(command, message_id=message_id)
    assert await sample.sql("select 1 from jars") == []
    assert await sample.sql("select 1 from inbox") == []
    await sample.deliver(command, message_id=message_id)
    assert len(await sample.sql("select 1 from jars")) == 1


async def test_a_failure_after_the_commit_is_a_repeat_without_effect(
    sample: Harness[Any], folder: Path
) -> None:
    order_failure(folder, Point.BEFORE_ACK, f"{RESERVE}.raise")
    command, message_id = order(), new_id()
    with pytest.raises(Failed):
        await sample.deliver(command, message_id=message_id)
    await sample.deliver(command, message_id=message_id)
    assert len(await sample.sql("select 1 from jars")) == 1
    assert passed(folder).count(f"sample before_ack {RESERVE}") == 2


async def test_a_message_of_a_route_fails_before_its_commit_too(
    sample: Harness[Any], folder: Path
) -> None:
    released = StockReleased(order_id=new_id()).with_sequence(1)
    order_failure(folder, Point.BEFORE_COMMIT, f"{released.routing_key()}.raise")
    with pytest.raises(Failed):
        async with sample.transaction() as tx:
            outbox.add(tx, released)
    assert await sample.published() == []


async def test_a_failure_around_a_call_repeats_it(sample: Harness[Any], folder: Path) -> None:
    sample.running.resources.calls, sample.running.resources.fails = 0, 0
    command, message_id = CancelPayment(operation_id=new_id(), order_id=new_id()), new_id()
    for point in (Point.BEFORE_CALL, Point.AFTER_CALL, Point.BEFORE_COMMIT):
        order_failure(folder, point, f"{command.routing_key()}.raise")
        with pytest.raises(Failed):
            await sample.deliver(command, message_id=message_id)
        assert await sample.published() == []
    await sample.deliver(command, message_id=message_id)
    assert len(await sample.published(PaymentCancelled)) == 1
    assert sample.running.resources.calls == 3


async def test_a_failure_after_publishing_publishes_the_message_again(
    line: BrokerHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ServicePoints(tmp_path, "sample").watch_relay(line.relay, monkeypatch.setattr)
    released = StockReleased(order_id=new_id()).with_sequence(1)
    for point in (Point.BEFORE_PUBLISH, Point.AFTER_PUBLISH):
        order_failure(tmp_path, point, f"{released.routing_key()}.raise")
    async with line.harness.transaction() as tx:
        outbox.add(tx, released)
    first, again = await take(line.published), await take(line.published)
    assert first.message_id == again.message_id
    assert passed(tmp_path).count(f"sample before_publish {released.routing_key()}") == 3
