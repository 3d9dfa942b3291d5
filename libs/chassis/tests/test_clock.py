"""A machine whose clock is wrong: processes go by the database's, and the difference shows."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from broker_harness import BrokerHarness, order, take, until

from chassis import clock
from chassis.clock import Clock, machine_time
from chassis.ids import lowest_id, new_id, utcnow
from chassis.keys import LEEWAY, _check_times
from contracts.inventory import StockReserved
from testkit.harness import Harness
from testkit.metrics_page import MetricsPage

HOURS = 7200.0
APART = "cartwright_clock_skew_seconds"


@pytest.fixture(params=[-HOURS, HOURS], ids=["behind", "ahead"])
def wrong(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """This machine's clock is two hours off."""
    monkeypatch.setattr(clock, "machine_time", lambda: time.time() + request.param)
    yield request.param
    clock.clocks.get().correction = 0.0


async def metrics(sample: Harness[Any]) -> MetricsPage:
    return MetricsPage.of(await sample.client.get("/metrics"))


async def test_a_process_goes_by_the_database_s_clock(sample: Harness[Any], wrong: float) -> None:
    """From its first connection on; nothing else is needed."""
    assert abs(clock.now() - time.time()) > HOURS / 2
    ((there,),) = await sample.sql("select clock_timestamp()")
    assert abs(utcnow() - there) < timedelta(seconds=60)
    assert abs(clock.now() - time.time()) < 60
    # The library's clock is not the one that is wrong here, so what is seen of ids is their shift.
    shifted = there - timedelta(seconds=wrong)
    assert lowest_id(shifted - timedelta(seconds=60)) < new_id()
    assert new_id() < lowest_id(shifted + timedelta(seconds=60))
    made = [new_id() for _ in range(100)]
    assert made == sorted(made)
    # The gauge shows what is wrong, whatever the process makes of it.
    shown = (await metrics(sample))(APART)
    assert abs(shown - wrong) < 60


async def test_a_command_is_judged_by_the_same_clock_everywhere(
    line: BrokerHarness, wrong: float
) -> None:
    """The sender's clock was right, and the command has a minute left."""
    await line.harness.running.database.pool.close()
    await line.harness.sql("select 1")
    command = order().model_copy(update={"expires_at": utcnow() + timedelta(seconds=60)})
    assert not command.is_expired(utcnow())
    assert command.expires_at is not None
    assert abs(command.expires_at.timestamp() - 60 - time.time()) < 60
    await line.send(command)
    answer = await take(line.published)
    assert StockReserved.decode(answer.body).order_id == command.order_id
    assert abs(parsed(answer.headers["cloudEvents:time"]) - time.time()) < 60


def parsed(written: Any) -> float:
    return datetime.fromisoformat(str(written)).timestamp()


async def test_a_clock_that_is_set_while_a_process_runs_is_noticed(
    sample: Harness[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "INTERVAL", 0.05)
    watching = asyncio.create_task(clock.watch(sample.running.database))
    try:
        monkeypatch.setattr(clock, "machine_time", lambda: time.time() - HOURS)
        await until(lambda: abs(clock.now() - time.time()) < 60)
        monkeypatch.setattr(clock, "machine_time", machine_time)
        await until(lambda: clock.clocks.get().correction == 0)
    finally:
        watching.cancel()
        clock.clocks.get().correction = 0.0


@pytest.mark.parametrize(
    ("ahead", "took", "correction"),
    [
        (0.0, 0.0, 0.0),
        (0.4, 0.0, 0.0),  # within the tolerance
        (2.0, 0.1, 2.0),
        (-7200.0, 0.1, -7200.0),
        (2.0, 5.0, 0.0),  # the measurement took too long to be that precise
        (7200.0, 5.0, 7200.0),
    ],
)
def test_a_difference_within_the_error_is_not_corrected(
    ahead: float, took: float, correction: float
) -> None:
    made = Clock()
    made.compare(1000.0 + ahead + took / 2, 1000.0, 1000.0 + took)
    assert made.correction == pytest.approx(correction)


def test_a_correction_stays_as_it_is_while_it_is_good_enough() -> None:
    """Time that jitters with each measurement would put ids and events out of order."""
    made = Clock()
    for ahead in (7200.0, 7200.3, 7199.8):
        made.compare(1000.0 + ahead, 1000.0, 1000.0)
        assert made.correction == 7200.0
    made.compare(1000.01, 1000.0, 1000.0)
    assert made.correction == 0.0


async def test_a_sender_whose_clock_is_ahead_is_named(line: BrokerHarness) -> None:
    """Services may have databases on servers whose clocks differ."""
    late = (utcnow() + timedelta(seconds=30)).isoformat()
    await line.send(order(), headers={"cloudEvents:time": late})
    await take(line.published)
    shown = await metrics(line.harness)
    found = shown("cartwright_sender_clock_ahead_seconds", sender="inventory")
    assert found > 2


GOOD = ({"exp": 1000, "iat": 900}, {"exp": 2000, "iat": 900, "nbf": 1000 + LEEWAY})
BAD = (
    {"exp": 1000 - LEEWAY, "iat": 900},
    {"exp": 2000, "iat": 1000 + LEEWAY + 1},
    {"exp": 2000, "iat": 900, "nbf": 1000 + LEEWAY + 1},
)


def test_tokens_are_judged_by_the_clock_they_are_given() -> None:
    for claims in GOOD:
        _check_times(claims, 1000.0)
    for claims in BAD:
        with pytest.raises(jwt.InvalidTokenError):
            _check_times(claims, 1000.0)
