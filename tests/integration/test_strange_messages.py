"""Messages that no service sends: set aside one by one, while all others are handled."""

import uuid
from typing import Any

import aio_pika

from chassis.ids import new_id
from contracts import registry
from contracts.message import Command
from impersonation import allow_any_name
from invariants import SERVICES, InvariantChecker
from shopfloor import Buyer, Staff, until
from suite.instance import Instance

HANDLERS = [name for name in SERVICES if name not in ("identity", "feed")]


def attributes(kind: str, **changes: Any) -> dict[str, Any]:
    """A CloudEvents envelope as AMQP headers."""
    named = {
        "specversion": "1.0",
        "id": str(new_id()),
        "source": "/somewhere",
        "type": kind,
        "subject": str(uuid.uuid4()),
        "time": "2026-11-21T12:00:00+00:00",
        "correlationid": str(uuid.uuid4()),
        "actor": "guest",
        "traceparent": f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01",
        **changes,
    }
    return {f"cloudEvents:{name}": value for name, value in named.items() if value is not None}


def of_service(service: str) -> type[Any]:
    """Some message a service handles."""
    kinds = registry.all_messages().values()
    commands = [kind for kind in kinds if issubclass(kind, Command) and kind.owner() == service]
    handled = {"catalog": "StockChanged", "cart": "StockChanged", "orders": "StockReserved"}
    if commands:
        return commands[0]
    return next(kind for kind in kinds if kind.__name__ == handled[service])


def strange(service: str) -> list[aio_pika.Message]:
    """What each queue gets; none of it may have an effect."""
    known = of_service(service)
    owner = known.senders[0] if issubclass(known, Command) else known.owner()
    stranger = "shipping" if owner != "shipping" else "orders"
    good_type = known.type_name()

    def message(body: bytes, headers: dict[str, Any], user: str) -> aio_pika.Message:
        return aio_pika.Message(
            body, headers=headers, user_id=user, message_id=str(uuid.uuid4()),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )  # fmt: skip

    return [
        message(b"{}", attributes("cartwright.orders.Unknown.v1"), owner),
        message(b"{}", attributes(good_type.replace(".v1", ".v99")), owner),
        message(b"\xff\xfe no JSON", attributes(good_type), owner),
        message(b'{"order_id": "not an id"}', attributes(good_type), owner),
        message(b"[" * 5000, attributes(good_type), owner),
        message(b"{}", {}, owner),
        message(b"{}", attributes(good_type, id="not an id"), owner),
        message(b"{}", attributes(good_type, id="00000000-0000-7000-8000-000000000000"), owner),
        message(b"{}", attributes(good_type, sequence="x"), owner),
        message(b"{}", attributes(good_type), stranger),
        message(
            b"{}", {**attributes(good_type), "x-attempts": "many", "x-sender": owner}, stranger
        ),
        message(b"x" * 2_000_000, attributes(good_type), owner),
    ]


async def send(instance: Instance, queue: str, message: aio_pika.Message) -> None:
    """Put one message into a queue, as the user it names."""
    connection = await aio_pika.connect(instance.broker_url("admin"))
    async with connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(message, routing_key=queue)


async def test_strange_messages_are_set_aside_and_the_others_served(
    instance: Instance, staff: Staff, buyer: Buyer, books: InvariantChecker
) -> None:
    await allow_any_name(instance)
    sent = {service: strange(service) for service in HANDLERS}
    expected = sum(map(len, sent.values()))
    for service, messages in sent.items():
        for message in messages:
            await send(instance, f"svc.{service}", message)

    order = await buyer.buys(await staff.sell(stock=5))
    assert order["status"] == "confirmed"
    await staff.ended(order["id"])

    async def all_dead() -> bool:
        dead = {name: n for name, n in (await books.queues()).items() if name.endswith(".dead")}
        return dead == {f"svc.{name}.dead": len(sent.get(name, ())) for name in SERVICES}

    await until(all_dead)
    await books.settle()
    assert await books.violations(dead_letters=expected) == []
    for service, messages in sent.items():
        await reasons_given(instance, service, len(messages))

    async def all_taken_away() -> bool:
        return not any(n for name, n in (await books.queues()).items() if name.endswith(".dead"))

    await until(all_taken_away)


async def reasons_given(instance: Instance, service: str, count: int) -> None:
    """Remove a service's dead letters; each names its cause, time and sender."""
    connection = await aio_pika.connect(instance.broker_url("admin"))
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(f"svc.{service}.dead")
        for _ in range(count):
            letter = await queue.get(no_ack=True)
            assert letter is not None
            assert letter.headers["x-error"] == "Undeliverable", dict(letter.headers)
            assert letter.headers["x-error-detail"]
            assert letter.headers["x-first-failed-at"]
            assert "x-sender" in letter.headers


async def test_the_broker_rejects_messages_of_other_owners(instance: Instance) -> None:
    refused = 0
    attempts = [
        ("shipping", "commands", "inventory.ReserveStock", "shipping"),
        ("shipping", "events", "payments.PaymentCaptured", "shipping"),
        ("shipping", "events", "shipping.ShipmentUpdated", "payments"),
        ("cart", "", "svc.orders", "cart"),
        ("cart", "svc.orders.retry", "1", "cart"),
    ]
    for user, exchange, routing_key, named in attempts:
        connection = await aio_pika.connect(instance.broker_url(user))
        async with connection:
            channel = await connection.channel(on_return_raises=True)
            target = (
                await channel.get_exchange(exchange, ensure=False)
                if exchange
                else channel.default_exchange
            )
            try:
                await target.publish(
                    aio_pika.Message(b"{}", user_id=named), routing_key=routing_key, timeout=10
                )
            except aio_pika.exceptions.AMQPError:
                refused += 1
    assert refused == len(attempts)
    for user, foreign in (("cart", "svc.orders"), ("orders", "svc.payments.dead")):
        connection = await aio_pika.connect(instance.broker_url(user))
        async with connection:
            channel = await connection.channel()
            try:
                queue = await channel.get_queue(foreign, ensure=False)
                await queue.get(fail=False)
            except aio_pika.exceptions.AMQPError:
                continue
            raise AssertionError(f"{user} reads {foreign}")
