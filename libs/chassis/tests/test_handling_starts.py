"""The starts of redelivered messages, which are counted until their handling has ended."""

from typing import Any

from chassis.ids import new_id
from chassis.messaging.handling_starts import Starts


async def test_a_message_that_one_batch_holds_twice_counts_once(sample: Any) -> None:
    twice, once = new_id(), new_id()
    process, next_process = (Starts(sample.running.database) for _ in range(2))
    await process.begin([twice, once, twice])
    assert await next_process.counts([twice, once]) == {twice: 1, once: 1}
    await process.end([twice, once, twice])
    assert await next_process.counts([twice, once]) == {}


async def test_a_process_does_not_count_its_own_starts(sample: Any) -> None:
    message = new_id()
    process = Starts(sample.running.database)
    await process.begin([message])
    assert await process.counts([message]) == {}
    process.abandon()
    assert await process.counts([message]) == {message: 1}
