"""No database, log, event, command or dead letter holds a secret after a checkout, a reset and a refund."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import asyncpg
import httpx

from invariants import InvariantChecker
from mailboxes import Mailbox
from secret_search import (
    Secrets,
    in_bodies,
    in_databases,
    in_dead_letter_queues,
    in_logs,
    tapping,
)
from shopfloor import Buyer, Staff, ok, sign_in, until
from suite.instance import Instance

PAYMENT_TOKEN = "tok_ok_mastercard"
PLANTED = (
    "create table planted (a_text text, some_bytes bytea, a_document jsonb)",
    "insert into planted values ($1, convert_to($1, 'UTF8'), jsonb_build_object('deep', $1::text))",
)


async def searched(instance: Instance, books: InvariantChecker, values: Secrets) -> set[str]:
    """Everywhere that something is stored."""
    found = await in_databases(books, values)
    found |= in_logs(instance.logs, values)
    found |= in_bodies("events", books.recorder.bodies, values)
    return found | await in_dead_letter_queues(instance, values)


async def test_no_secret_is_stored_or_sent(
    instance: Instance,
    http: httpx.AsyncClient,
    staff: Staff,
    buyer: Buyer,
    at_rest: InvariantChecker,
) -> None:
    product = await staff.sell(stock=5)
    letters = Mailbox(instance, buyer.email)
    canaries: dict[str, str] = {"the payment token": PAYMENT_TOKEN}
    async with tapping(instance, "commands") as commands:
        await checked_out_and_refunded(staff, buyer, product, canaries)
        mail = await letters.expect("is confirmed")
        assert f"token={canaries['the order token']}" in mail
        await registered_and_reset(http, letters, canaries)
        await at_rest.settle()
        # The command that collects the money carries the provider's token, and nothing else does.
        in_transit = {name: value for name, value in canaries.items() if value != PAYMENT_TOKEN}
        found = in_bodies("commands", commands.bodies, in_transit)
        assert commands.bodies

    assert found | await searched(instance, at_rest, canaries) == set()


async def checked_out_and_refunded(
    staff: Staff, buyer: Buyer, product: Any, canaries: dict[str, str]
) -> None:
    """A guest's order, paid, confirmed, cancelled and refunded."""
    order = await buyer.buys(product, payment={"method": "card", "token": PAYMENT_TOKEN})
    canaries |= {"the cart token": buyer.cart_token, "the order token": buyer.order_token}
    await staff.ended(order["id"])
    ok(await buyer.cancel(order["id"]))
    await buyer.reaches(order["id"], "cancelled")


async def registered_and_reset(
    http: httpx.AsyncClient, letters: Mailbox, canaries: dict[str, str]
) -> None:
    """An account whose address is verified and whose password is reset by mail."""
    first, second = (f"{secrets.token_hex(8)} herons in the shallows" for _ in range(2))
    body = {"email": letters.address, "password": first}
    names = {"first_name": "Ada", "last_name": "Byron"}
    ok(await http.post("/v1/auth/register", json={**body, **names}))
    verification = await letters.token("Confirm your e-mail address")
    access_token = await sign_in(http, letters.address, first)
    ok(
        await http.post(
            "/v1/auth/verify",
            json={"token": verification},
            headers={"Authorization": f"Bearer {access_token}"},
        )
    )
    ok(await http.post("/v1/auth/password-reset", json={"email": letters.address}))
    reset = await letters.token("Choose a new password")
    chosen = {"token": reset, "password": second}
    ok(await http.post("/v1/auth/password-reset/confirm", json=chosen))
    signed_in = ok(
        await http.post("/v1/auth/login", json={"email": letters.address, "password": second})
    )
    canaries |= {
        "the verification token": verification,
        "the reset token": reset,
        "the first password": first,
        "the second password": second,
        "an access token": access_token,
        "a refresh token": signed_in["refresh_token"],
    }


@asynccontextmanager
async def planted(instance: Instance, canary: str) -> AsyncIterator[None]:
    """A secret in a table, in a log, in an event and in a dead letter; removed again."""
    database = await asyncpg.connect(instance.dsn("shipping", "postgres"), ssl=False)
    log = instance.logs / "planted.log"
    log.write_text(f"a process wrote {canary}\n")
    broker = await aio_pika.connect(instance.broker_url())
    channel = await broker.channel()
    dead = await channel.get_queue("svc.shipping.dead", ensure=False)
    message = aio_pika.Message(canary.encode())
    await channel.default_exchange.publish(message, routing_key="svc.shipping.dead")
    try:
        await database.execute(PLANTED[0])
        await database.execute(PLANTED[1], canary)
        yield
    finally:
        await database.execute("drop table planted")
        await database.close()
        log.unlink()
        taken = await dead.get(timeout=5)
        assert taken is not None
        await taken.ack()
        await broker.close()


async def test_the_search_finds_a_planted_secret(
    instance: Instance, books: InvariantChecker
) -> None:
    canary = f"canary-{secrets.token_hex(12)}"
    values = {"the canary": canary}
    async with planted(instance, canary), tapping(instance, "commands") as commands:
        found = await searched(instance, books, values)
        broker = await aio_pika.connect(instance.broker_url())
        async with broker:
            channel = await broker.channel()
            exchange = await channel.get_exchange("commands", ensure=False)
            note = aio_pika.Message(canary.encode())
            await exchange.publish(note, routing_key="unbound.Canary", mandatory=False)

            async def is_tapped() -> bool:
                return bool(in_bodies("commands", commands.bodies, values))

            await until(is_tapped)

    assert found == {
        "shipping.planted.a_text holds the canary",
        "shipping.planted.some_bytes holds the canary",
        "shipping.planted.a_document holds the canary",
        "planted.log holds the canary",
        "dead letters of shipping hold the canary",
    }
    assert in_bodies("events", [b"a", canary.encode()], values) == {"events hold the canary"}
    assert await searched(instance, books, values) == set()
