"""Batches linger during bursts and for low-priority messages; on a real broker."""

import itertools
import time

from broker_harness import BrokerHarness, order, take, until

from chassis.ids import new_id
from chassis.messaging.linger import (
    LONGEST_GAP,
    SAMPLE_INTERVAL,
    AdaptiveLinger,
    Processor,
    RunQueue,
    read_run_queue,
)
from contracts.examples import build
from contracts.orders import OrderPlaced

FOR_EVER = 600.0
NEVER = 10.0**6


def placed() -> OrderPlaced:
    """An order that was placed."""
    return build(OrderPlaced).model_copy(update={"order_id": new_id()}).with_sequence(1)


async def jars(line: BrokerHarness) -> list[int]:
    """What each jar holds: for an order that was placed, how many came together."""
    return sorted(row.coins for row in await line.harness.sql("select coins from jars"))


async def test_one_that_is_waited_for_takes_the_others_along(line: BrokerHarness) -> None:
    line.consumer.max_batch_delay = FOR_EVER
    for _ in range(3):
        await line.send(placed())
    await line.send(order(7))

    async def all_handled() -> bool:
        return await jars(line) == [3, 3, 3, 7]

    await until(all_handled)


async def test_a_single_message_is_handled_after_the_delay(line: BrokerHarness) -> None:
    line.consumer.max_batch_delay = 0.05
    await line.send(placed())

    async def handled() -> bool:
        return await jars(line) == [1]

    await until(handled)


async def test_a_full_batch_waits_no_longer(line: BrokerHarness) -> None:
    line.consumer.max_batch_delay = FOR_EVER
    line.consumer.batch_size = 2
    for _ in range(4):
        await line.send(placed())

    async def handled() -> bool:
        return await jars(line) == [2, 2, 2, 2]

    await until(handled)


def waiting(seconds: float) -> Processor:
    """A processor on which each turn is waited for so long."""
    count = itertools.count(1)

    def turns() -> RunQueue:
        number = 100 * next(count)
        return RunQueue(seconds * number, number)

    return Processor(turns)


def after(gaps: list[float], wait: float = 0.001) -> AdaptiveLinger:
    """What is known once something came after each of these gaps; all times are in seconds."""
    linger, now = AdaptiveLinger(processor=waiting(wait)), 0.0
    for gap in gaps:
        now += gap
        linger.record_arrival(now)
    return linger


def test_it_lingers_while_arrivals_are_frequent() -> None:
    assert after([0.020] * 50).should_linger()
    assert not after([0.090] * 50).should_linger()


def test_nothing_is_expected_at_first() -> None:
    assert not AdaptiveLinger().should_linger()


def test_a_burst_is_noticed_soon_after_a_pause() -> None:
    assert after([LONGEST_GAP] * 50 + [0.001] * 8).should_linger()


def test_the_first_of_a_burst_waits_for_the_others() -> None:
    burst = [0.25] + [0.002] * 7
    assert after([*burst * 5, 0.25]).should_linger()


def test_it_does_not_linger_on_an_idle_machine() -> None:
    assert not after([0.001] * 50, wait=0.000_100).should_linger()
    assert after([0.001] * 50, wait=0.001).should_linger()


def test_a_crowd_that_has_gone_is_noticed() -> None:
    samples = iter([RunQueue(1.0, 1000), RunQueue(1.001, 1100)])
    found = Processor(lambda: next(samples))
    assert found.is_saturated(1.0)
    assert found.is_saturated(1.0 + SAMPLE_INTERVAL / 2)
    assert not found.is_saturated(1.0 + SAMPLE_INTERVAL)


def test_without_scheduler_statistics_the_machine_counts_as_busy() -> None:
    def untold() -> RunQueue:
        raise FileNotFoundError

    found = Processor(untold)
    for moment in (1.0, 2.0, 3.0):
        assert found.is_saturated(moment)


def test_the_kernel_counts_time_slices() -> None:
    before = read_run_queue()
    time.sleep(0.01)
    assert read_run_queue().count > before.count > 0
    assert read_run_queue().waited >= before.waited >= 0


async def test_a_message_and_its_answer_go_at_once_without_a_burst(
    line: BrokerHarness,
) -> None:
    line.consumer.batch_linger = line.relay.linger = FOR_EVER
    line.consumer._linger, line.relay._linger = AdaptiveLinger(NEVER), AdaptiveLinger(NEVER)
    await line.send(order(7))
    answer = await take(line.published)
    assert answer.routing_key == "inventory.StockReserved"
