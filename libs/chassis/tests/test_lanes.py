"""Lanes: order within a key, concurrency between keys, and a limit."""

import asyncio

from chassis.messaging.lanes import Lanes


async def test_work_of_one_key_never_overtakes() -> None:
    lanes, done, first_may_end = Lanes(8), [], asyncio.Event()

    async def work(number: int) -> None:
        if number == 0:
            await first_may_end.wait()
        done.append(number)

    for number in range(5):
        lanes.start("a", work(number))
    await asyncio.sleep(0)
    assert done == []
    first_may_end.set()
    await lanes.wait_idle()

    assert done == [0, 1, 2, 3, 4]
    assert not lanes.busy


async def test_keys_run_side_by_side() -> None:
    lanes, together = Lanes(2), asyncio.Barrier(2)

    async def meet() -> None:
        await together.wait()

    lanes.start("a", meet())
    lanes.start("b", meet())
    assert lanes.busy
    async with asyncio.timeout(5):
        await lanes.wait_idle()


async def test_no_more_run_at_once_than_allowed() -> None:
    lanes, running, most = Lanes(3), 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    for number in range(20):
        lanes.start(str(number), work())
    await lanes.wait_idle()

    assert most == 3
