"""The connections to RabbitMQ: one for publishing, one for consuming, replaced when lost.

Channels are never restored silently. When one ends, its user opens another and knows what was not
confirmed or acknowledged on the first.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import aiormq
import structlog
from aiormq.exceptions import AMQPError, ChannelClosed, ChannelInvalidStateError
from yarl import URL

log = structlog.get_logger()

HEARTBEAT = 10
CONNECT_TIMEOUT = 5.0
CALL_TIMEOUT = 10.0
CLOSE_TIMEOUT = 1.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0


class TopologyMismatch(Exception):
    """The broker lacks an exchange or queue that this service needs; import the definitions."""


class BrokerLost(Exception):
    """A channel or its connection ended, or did not answer in time."""


@contextmanager
def translate_errors(*others: type[AMQPError]) -> Iterator[None]:
    """Raise BrokerLost for what the driver raises when a channel or connection ends.

    The driver also raises CancelledError in its callers when it closes a silent connection; their
    tasks are not cancelled. `others` are raised unchanged.
    """
    try:
        yield
    except others:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokerLost("the connection timed out") from None
    except (AMQPError, ChannelInvalidStateError, OSError, RuntimeError) as error:
        raise BrokerLost(repr(error)) from error


class Broker:
    """Connects on first use, and waits while the broker is unavailable."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name
        self._connections: dict[str, aiormq.Connection] = {}
        self._publishing: aiormq.Channel | None = None
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def connection(self, purpose: str) -> aiormq.Connection:
        """The connection for `publish` or `consume`; waits until the broker is available."""
        async with self._opening[purpose]:
            pause = FIRST_PAUSE
            while not self._is_open(purpose):
                try:
                    self._connections[purpose] = await self._connect(purpose)
                except BrokerLost as error:
                    log.warning("broker unavailable", purpose=purpose, error=str(error))
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
            return self._connections[purpose]

    async def _connect(self, purpose: str) -> aiormq.Connection:
        url = URL(self.url).update_query(heartbeat=HEARTBEAT, name=f"{self.name}-{purpose}")
        with translate_errors():
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await aiormq.connect(url)

    def _is_open(self, purpose: str) -> bool:
        known = self._connections.get(purpose)
        return known is not None and known.is_opened

    async def publishing(self) -> aiormq.Channel:
        """The channel to publish on.

        A returned message raises (`on_return_raises`); otherwise an unroutable one would count as
        sent. Publish messages whose order matters on the channel of one call: when it closes, none
        of the later ones is sent. Raises BrokerLost.
        """
        async with self._opening["publishing channel"]:
            channel = self._publishing
            if channel is None or channel.is_closed:
                connection = await self.connection("publish")
                channel = self._publishing = await self._open(connection, confirms=True)
            return channel

    async def abandon(self, channel: aiormq.Channel) -> None:
        """Close a channel with missing confirms, so that a late one matches no other message.

        When the channel does not close in time, its connection is closed.
        """
        if self._publishing is channel:
            self._publishing = None
        await self._close(channel)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[aiormq.Channel]:
        """A new channel on the consuming connection, closed at the end. Raises BrokerLost."""
        connection = await self.connection("consume")
        channel = await self._open(connection, confirms=False)
        try:
            yield channel
        finally:
            await self._close(channel)

    @staticmethod
    async def _open(connection: aiormq.Connection, *, confirms: bool) -> aiormq.Channel:
        with translate_errors():
            async with asyncio.timeout(CALL_TIMEOUT):
                channel = await connection.channel(
                    publisher_confirms=confirms, on_return_raises=confirms
                )
        assert isinstance(channel, aiormq.Channel)  # noqa: S101
        return channel

    async def has_queue(self, name: str) -> bool:
        """Whether the broker has a queue, of any owner. Raises BrokerLost."""
        async with self.channel() as channel:
            return await queue_exists(channel, name)

    @property
    def is_up(self) -> bool:
        """Whether every connection in use is open."""
        return bool(self._connections) and all(map(self._is_open, self._connections))

    async def close(self) -> None:
        """Close the connections; finish what is in flight first."""
        for connection in list(self._connections.values()):
            await self._end(connection)
        self._publishing = None

    async def _close(self, channel: aiormq.Channel) -> None:
        """Close a channel, or its connection when the channel does not close in time."""
        if channel.is_closed:
            return
        try:
            with translate_errors():
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await channel.close()
        except BrokerLost:
            await self._end(channel.connection)

    async def _end(self, connection: aiormq.abc.AbstractConnection) -> None:
        """Drop a connection and close it, if the broker responds."""
        for purpose, known in list(self._connections.items()):
            if known is connection:
                del self._connections[purpose]
        with suppress(BrokerLost), translate_errors():
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await connection.close()


async def queue_exists(channel: aiormq.Channel, name: str) -> bool:
    """Whether the broker has a queue; when it has not, the channel closes. Raises BrokerLost."""
    with translate_errors():
        async with asyncio.timeout(CALL_TIMEOUT):
            try:
                await channel.queue_declare(name, passive=True)
            except ChannelClosed:
                return False
    return True
