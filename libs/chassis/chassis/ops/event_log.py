"""Reads the log of all events, the stream `events.log`, from a time or an offset."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from chassis.ops.fetching import CONNECT_TIMEOUT, BrokerUnavailable

LOG = "events.log"
PREFETCH = 200
# The broker delivers the messages of a stream at once; this long without one is the end.
END_AFTER = 0.5
# Seconds to wait for the first message of a read.
FIRST_WAIT = 5.0

Start = int | datetime | str


def offset_of(message: AbstractIncomingMessage) -> int:
    """A message's offset in the log."""
    return int(str(message.headers["x-stream-offset"]))


class EventLog:
    """The log on one connection; `read` may be called repeatedly."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def end(self) -> int | None:
        """An offset that a reader must reach at least; None while the log is empty.

        A stream has no metadata to query. Read from `last`, it delivers its last chunk, and
        whatever is appended meanwhile.
        """
        async with aclosing(self.read("last")) as messages:
            async for message in messages:
                return offset_of(message)
        return None

    async def read(
        self, start: Start, wait: float = FIRST_WAIT
    ) -> AsyncGenerator[AbstractIncomingMessage, None]:
        """The messages from an offset, a time, `first` or `last`, until no more arrive.

        A time starts at the chunk that contains it, so a few earlier messages are returned as well.
        """
        channel = await self._connection.channel(publisher_confirms=False)
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        try:
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.get_queue(LOG, ensure=False)
            await queue.consume(arrived.put, arguments={"x-stream-offset": start})
            while True:
                try:
                    async with asyncio.timeout(wait):
                        message = await arrived.get()
                except TimeoutError:
                    return
                wait = END_AFTER
                yield message
                await message.ack()
        finally:
            await channel.close()


@asynccontextmanager
async def open_log(broker_url: str) -> AsyncIterator[EventLog]:
    """The log on its own connection. Raises BrokerUnavailable."""
    try:
        connection = await aio_pika.connect(broker_url, timeout=CONNECT_TIMEOUT)
        async with connection:
            yield EventLog(connection)
    except (AMQPError, OSError, TimeoutError) as error:
        raise BrokerUnavailable from error
