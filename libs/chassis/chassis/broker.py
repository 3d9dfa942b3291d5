"""The connections to RabbitMQ: one for publishing, one for consuming, both restored when lost."""

import asyncio
from typing import cast

import aio_pika
import aiormq
import structlog
from aio_pika.abc import (
    AbstractRobustChannel,
    AbstractRobustConnection,
    AbstractRobustExchange,
    AbstractRobustQueue,
)
from aio_pika.exceptions import AMQPConnectionError, ChannelClosed

log = structlog.get_logger()

HEARTBEAT = 10
CONNECT_TIMEOUT = 5.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0


class TopologyMismatch(Exception):
    """The broker does not hold the exchange or queue this service needs; import the definitions."""


class Broker:
    """Connections are opened on first use and wait for a broker that is away.

    Publishing channels raise when a message is returned as unroutable (`on_return_raises`): without
    it such a message would count as sent.
    """

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name
        self._connections: dict[str, AbstractRobustConnection] = {}
        self._publishing: AbstractRobustChannel | None = None
        self._exchanges: dict[str, AbstractRobustExchange] = {}
        self._lock = asyncio.Lock()

    async def connection(self, purpose: str) -> AbstractRobustConnection:
        """The connection for `publish` or `consume`; waits until the broker answers."""
        pause = FIRST_PAUSE
        while purpose not in self._connections:
            try:
                self._connections[purpose] = await aio_pika.connect_robust(
                    self.url,
                    timeout=CONNECT_TIMEOUT,
                    heartbeat=HEARTBEAT,
                    reconnect_interval=1,
                    fail_fast="1",
                    client_properties={"connection_name": f"{self.name}-{purpose}"},
                )
            except (AMQPConnectionError, OSError, TimeoutError) as error:
                log.warning("broker away", purpose=purpose, error=repr(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        return self._connections[purpose]

    async def exchange(self, name: str) -> AbstractRobustExchange:
        """An exchange to publish to; raises TopologyMismatch when the broker lacks it."""
        if name not in self._exchanges:
            async with self._lock:
                if name not in self._exchanges:
                    await self._declare(name)
        return self._exchanges[name]

    async def publishing(self) -> aiormq.Channel:
        """The channel to publish on, beneath what restores it: whoever has it asks each time."""
        if self._publishing is None:
            async with self._lock:
                await self._open()
        assert self._publishing is not None  # noqa: S101
        return cast("aiormq.Channel", await self._publishing.get_underlay_channel())

    async def _declare(self, name: str) -> None:
        # No passive declaration: it would need configure rights on exchanges that are not ours.
        # A wrong name shows as a closed channel on the first publish.
        exchange = await (await self._open()).get_exchange(name, ensure=False)
        assert isinstance(exchange, AbstractRobustExchange)  # noqa: S101
        self._exchanges[name] = exchange

    async def _open(self) -> AbstractRobustChannel:
        if self._publishing is None:
            connection = await self.connection("publish")
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            assert isinstance(channel, AbstractRobustChannel)  # noqa: S101
            self._publishing = channel
        return self._publishing

    async def queue(self, name: str, prefetch: int) -> AbstractRobustQueue:
        """A queue of ours on a consuming channel of its own, declared passively."""
        connection = await self.connection("consume")
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=prefetch)
        try:
            queue = await channel.get_queue(name, ensure=True)
        except ChannelClosed as error:
            raise TopologyMismatch(
                f"the broker has no queue {name} as this service expects it: {error}. "
                "Import deploy/rabbitmq/definitions.json first."
            ) from None
        assert isinstance(queue, AbstractRobustQueue)  # noqa: S101
        return queue

    async def has_queue(self, name: str) -> bool:
        """Whether the broker holds a queue; it need not be ours."""
        channel = await (await self.connection("consume")).channel(publisher_confirms=False)
        try:
            await channel.get_queue(name, ensure=True)
        except ChannelClosed:
            return False
        await channel.close()
        return True

    @property
    def is_up(self) -> bool:
        """Whether every connection in use stands at this moment."""
        return bool(self._connections) and all(
            connection.connected.is_set() for connection in self._connections.values()
        )

    async def close(self) -> None:
        """Close the connections; whatever is in flight must have finished before."""
        for connection in self._connections.values():
            await connection.close()
        self._connections.clear()
