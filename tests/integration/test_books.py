"""The invariant checks see what they are there to see: each damage is done, found and undone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest_asyncio

from invariants import InvariantChecker
from recorder import Recorder
from shopfloor import Buyer, Staff


async def of_money(books: InvariantChecker) -> list[str]:
    """I2, on our side and on the provider's."""
    return [*await books.money(), *await books.ledger()]


async def of_stock(books: InvariantChecker) -> list[str]:
    """I1, by what is promised and by what has moved."""
    return [*await books.oversold(), *await books.movements()]


# The queries of `violations`, by invariant, so that one damage runs its own alone.
CHECKS: dict[str, Callable[[InvariantChecker], Awaitable[list[str]]]] = {
    "I1": of_stock,
    "I2": of_money,
    "I3": InvariantChecker.unfinished,
    "I4": InvariantChecker.leaks,
    "I6": InvariantChecker.repeated_effects,
    "I7": InvariantChecker.stale_copies,
    "I8": lambda books: books.zombies(0),
}


@dataclass(frozen=True)
class Damage:
    """A statement that breaks an invariant, one that repairs it, and the violation reported."""

    invariant: str
    database: str
    harm: str
    repair: str


@pytest_asyncio.fixture
async def order_id(staff: Staff, buyer: Buyer, books: InvariantChecker) -> str:
    """A confirmed order with a coupon, its parcel not yet handed over."""
    product = await staff.sell(stock=10)
    code = await staff.coupon()
    order = await buyer.buys(product, 2, coupon_code=code)
    await staff.ended(order["id"])
    await books.settle()
    assert await books.violations() == []
    return str(order["id"])


@asynccontextmanager
async def done(books: InvariantChecker, damage: Damage) -> AsyncIterator[None]:
    """Do the damage, past triggers and foreign keys, and undo it whatever happens."""
    connection = await asyncpg.connect(books.instance.dsn(damage.database, "postgres"))
    try:
        await connection.execute("set session_replication_role = replica")
        status = await connection.execute(damage.harm)
        assert not status.endswith(" 0"), f"nothing was harmed: {damage.harm}"
        try:
            yield
        finally:
            await connection.execute(damage.repair)
    finally:
        await connection.close()


def damages(order: str) -> list[Damage]:
    """One damage for each thing the books look at. `order` is a confirmed order's id."""
    reserved = f"(select variant_id from allocations where order_id = '{order}') and reserved > 0"
    return [
        Damage(
            "I1 oversold",
            "inventory",
            f"update stock_items set reserved = reserved + 1 where variant_id in {reserved}",
            f"update stock_items set reserved = reserved - 1 where variant_id in {reserved}",
        ),
        Damage(
            "I1 movements",
            "inventory",
            f"update stock_items set on_hand = on_hand + 1 where variant_id in {reserved}",
            f"update stock_items set on_hand = on_hand - 1 where variant_id in {reserved}",
        ),
        Damage(
            "I2 orders and payments disagree",
            "orders",
            f"update orders set captured_amount = captured_amount - 1 where id = '{order}'",
            f"update orders set captured_amount = captured_amount + 1 where id = '{order}'",
        ),
        Damage(
            "I2 cancelled order",
            "orders",
            f"update orders set status = 'cancelled' where id = '{order}'",
            f"update orders set status = 'confirmed' where id = '{order}'",
        ),
        Damage(
            "I2 provider",
            "payments",
            f"update payments set captured_amount = captured_amount - 1 where order_id = '{order}'",
            f"update payments set captured_amount = captured_amount + 1 where order_id = '{order}'",
        ),
        Damage(
            "I2 the provider's entries",
            "sandbox",
            "update ledger_entries set amount = amount + 1 "
            f"where reference = '{order}' and account = 'customer'",
            "update ledger_entries set amount = amount - 1 "
            f"where reference = '{order}' and account = 'customer'",
        ),
        Damage(
            "I3 unfinished",
            "orders",
            f"update checkout_sagas set stage = 'collecting' where order_id = '{order}'",
            f"update checkout_sagas set stage = 'completed' where order_id = '{order}'",
        ),
        Damage(
            "I4 leak",
            "orders",
            f"update orders set status = 'returned' where id = '{order}'",
            f"update orders set status = 'confirmed' where id = '{order}'",
        ),
        Damage(
            "I6 shipped twice",
            "shipping",
            "create temp table twin as select * from shipments "
            f"where order_id = '{order}'; update twin set id = gen_random_uuid(); "
            "insert into shipments select * from twin",
            "delete from shipments where id in (select id from twin)",
        ),
        Damage(
            "I7 cart believes",
            "cart",
            "update stock_snapshots set available = available + 1",
            "update stock_snapshots set available = available - 1",
        ),
        Damage(
            "I8 unsent",
            "orders",
            "insert into outbox (message_id, shard, subject, exchange, routing_key, headers, body, "
            "parked_at) values ('00000000-0000-7000-8000-000000000001', 0, 'x', 'events', 'x', "
            "'{}', '', now())",
            "delete from outbox where message_id = '00000000-0000-7000-8000-000000000001'",
        ),
        Damage(
            "I8 still running",
            "orders",
            "insert into idempotency_keys (principal, key, route, body_hash, state, lease_until, "
            "resource_id) values ('test', 'k', 'POST /', '', 'running', now(), "
            "gen_random_uuid())",
            "delete from idempotency_keys where principal = 'test'",
        ),
        Damage(
            "I8 locked cart",
            "cart",
            # A lock of tomorrow, or cart itself would find and repair it.
            "update carts set status = 'locked', lock_checked_at = now() + interval '1 day' "
            f"where order_id = '{order}'",
            "update carts set status = 'converted', lock_checked_at = now() "
            f"where order_id = '{order}'",
        ),
    ]


async def test_the_books_notice_what_they_look_for(order_id: str, books: InvariantChecker) -> None:
    for damage in damages(order_id):
        async with done(books, damage):
            found = await CHECKS[damage.invariant[:2]](books)
            assert [fault for fault in found if fault.startswith(damage.invariant)], damage
    await books.settle()
    assert await books.violations() == []


def test_the_recorder_notices_gaps_and_inversions() -> None:
    sound, lossy, hasty = Recorder(), Recorder(), Recorder()
    for number in (1, 2, 2, 3):
        sound.note("/orders/order", "a", number, b"")
    for number in (1, 3):
        lossy.note("/orders/order", "a", number, b"")
    for number in (2, 1):
        hasty.note("/orders/order", "a", number, b"")
    assert (sound.gaps(), sound.inversions()) == ([], [])
    assert lossy.gaps()
    assert not hasty.gaps()
    assert hasty.inversions()
