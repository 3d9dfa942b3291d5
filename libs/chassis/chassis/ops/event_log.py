"""Reading the log of all events, the stream `events.log`, from a time or an offset."""

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
# The broker hands over what lies in a stream at once; this long without a message is its end.
QUIET = 0.5
# How long the first message of a read may take.
FIRST_WAIT = 5.0

Start = int | datetime | str


def offset_of(message: AbstractIncomingMessage) -> int:
    """The place of a message in the log."""
    return int(str(message.headers["x-stream-offset"]))


class EventLog:
    """The log on one connection; `read` may be called again and again."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def end(self) -> int | None:
        """The offset up to which a reader must come at least; None while the log is empty.

        A stream tells nothing about itself. Asked for its last chunk it delivers that chunk, and
        whatever is appended meanwhile.
        """
        async with aclosing(self.read("last")) as messages:
            async for message in messages:
                return offset_of(message)
        return None

    async def read(
        self, start: Start, wait: float = FIRST_WAIT
    ) -> AsyncGenerator[AbstractIncomingMessage, None]:
        """Messages from an offset, a time, `first` or `last`, until nothing more comes.

        A time begins at the chunk that holds it, so a few earlier messages come as well.
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
                wait = QUIET
                yield message
                await message.ack()
        finally:
            await channel.close()


@asynccontextmanager
async def opened(broker_url: str) -> AsyncIterator[EventLog]:
    """The log on a connection of its own; raises BrokerUnavailable."""
    try:
        connection = await aio_pika.connect(broker_url, timeout=CONNECT_TIMEOUT)
        async with connection:
            yield EventLog(connection)
    except (AMQPError, OSError, TimeoutError) as error:
        raise BrokerUnavailable from error
