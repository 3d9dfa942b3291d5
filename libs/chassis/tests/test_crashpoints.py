"""Crash points: silent while off, one failure for each order to fail, by exception or by SIGKILL."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chassis import crashpoints, outbox
from chassis.crashpoints import Failed, Point, reached
from chassis.ids import new_id
from chassis.settings import ServiceSettings
from chassis.testing import Harness
from contracts.inventory import ReserveStock, StockReleased, WantedLine
from contracts.payments import CancelPayment, PaymentCancelled

RESERVE = ReserveStock.routing_key()


@pytest.fixture
def folder(sample: Harness[ServiceSettings], tmp_path: Path) -> Iterator[Path]:
    crashpoints.configure(tmp_path, "sample")
    yield tmp_path
    crashpoints.configure(None, "sample")


def order_failure(folder: Path, point: Point, name: str) -> None:
    place = folder / "sample" / point
    place.mkdir(parents=True, exist_ok=True)
    (place / name).touch()


def passed(folder: Path) -> list[str]:
    return (folder / crashpoints.LOG).read_text().splitlines()


def order() -> ReserveStock:
    line = WantedLine(line_id=new_id(), variant_id=new_id(), quantity=1)
    return ReserveStock(operation_id=new_id(), order_id=new_id(), lines=[line])


def test_while_off_nothing_is_even_looked_at() -> None:
    def never() -> Iterator[str]:
        raise AssertionError("read while off")
        yield ""

    reached(Point.AFTER_CALL, never())


def test_one_order_is_one_failure_of_the_message_it_names(folder: Path) -> None:
    order_failure(folder, Point.AFTER_CALL, "payments.CollectPayment.raise")
    reached(Point.AFTER_CALL, ["payments.RefundPayment"])
    reached(Point.BEFORE_CALL, ["payments.CollectPayment"])
    with pytest.raises(Failed):
        reached(Point.AFTER_CALL, ["payments.CollectPayment"])
    reached(Point.AFTER_CALL, ["payments.CollectPayment"])
    assert len(passed(folder)) == 4


def test_a_crash_leaves_no_time_for_anything(tmp_path: Path) -> None:
    order_failure(tmp_path, Point.BEFORE_ACK, "a.B.crash")
    program = (
        "import pathlib, sys; from chassis import crashpoints as c;"
        "c.configure(pathlib.Path(sys.argv[1]), 'sample');"
        "c.reached(c.Point.BEFORE_ACK, ['a.B']); print('lived on')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == ""


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
