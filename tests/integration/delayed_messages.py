"""Messages taken out of the queue of a stopped service, to reach it later than they were meant to."""

from contextlib import suppress
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import QueueEmpty

from shopfloor import until
from suite.instance import Instance


@dataclass
class DelayedMessages:
    """What was taken, as its sender sent it."""

    instance: Instance
    messages: list[AbstractIncomingMessage]

    async def send_on(self) -> None:
        """Send it now, unchanged, in its sender's name."""
        for message in self.messages:
            url = self.instance.broker_url(str(message.user_id))
            async with await aio_pika.connect(url) as connection:
                channel = await connection.channel(publisher_confirms=True)
                exchange = await channel.get_exchange(str(message.exchange), ensure=False)
                same = aio_pika.Message(
                    message.body,
                    headers=message.headers,
                    message_id=message.message_id,
                    type=message.type,
                    content_type=message.content_type,
                    user_id=message.user_id,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                )
                await exchange.publish(same, routing_key=str(message.routing_key))


async def delay_messages(instance: Instance, service: str, kind: str) -> DelayedMessages:
    """Take every message of a kind, once there is one, out of the queue of a service that is stopped."""

    async def found() -> list[AbstractIncomingMessage]:
        return await _take(instance, service, kind)

    return DelayedMessages(instance, await until(found))


async def _take(instance: Instance, service: str, kind: str) -> list[AbstractIncomingMessage]:
    async with await aio_pika.connect(instance.broker_url()) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(f"svc.{service}", ensure=False)
        taken: list[AbstractIncomingMessage] = []
        left: list[AbstractIncomingMessage] = []
        with suppress(QueueEmpty):
            while True:
                message = await queue.get()
                (taken if message.routing_key == kind else left).append(message)
        for message in taken:
            await message.ack()
        for message in left:
            await message.reject(requeue=True)
        return taken
