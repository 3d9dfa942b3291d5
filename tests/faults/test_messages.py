"""Messages that come many times, out of order, an hour late, poisoned, or find no queue."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import pytest

from chaos_buyers import Persistent
from delayed_messages import DelayedMessages, delay_messages
from impersonation import allow_any_name
from invariants import SERVICES, InvariantChecker
from journeys import Journeys
from load import SCARCE_PIECES, gather_load, visits
from poison import KINDS, aged, attempts_of, dead_letters, poison, send
from queue_proxy import tapped
from scenarios import Attack, unbound
from shopfloor import Buyer, Staff, until
from suite.instance import Instance
from summary import Watch
from test_crowd import VISITS, everything_holds

CONSUMERS = [name for name in SERVICES if name != "identity"]
EACH = 3
BUYERS = 5
ROUNDS = 20


@pytest.mark.full
async def test_every_message_comes_two_to_ten_times_in_any_order(
    instance: Instance, staff: Staff, client: Persistent, books: InvariantChecker, seed: int
) -> None:
    crowd = await gather_load(staff, client, scarce=SCARCE_PIECES)
    watch = Watch(books, "every message 2 to 10 times, shuffled in windows of 50", seed)
    async with AsyncExitStack() as stack:
        taps = [
            await stack.enter_async_context(tapped(instance, name, seed, (2, 10)))
            for name in CONSUMERS
        ]
        await crowd.shop(visits(seed, VISITS, per_second=5))
        await books.settle(300)
    assert all(tap.delivered > 2 * tap.passed > 0 for tap in taps if tap.passed)
    injected = sum(tap.delivered - tap.passed for tap in taps)
    await everything_holds(crowd, await watch.summary(crowd, injected=injected))


async def is_given_back(books: InvariantChecker, order_id: str) -> bool:
    """Whether the order was cancelled."""
    found = await books.rows("orders", "select status from orders where id = $1", order_id)
    return bool(found[0]["status"] == "cancelled")


@pytest.mark.full
@pytest.mark.parametrize(
    ("service", "kind"),
    [("inventory", "inventory.ReserveStock"), ("payments", "payments.CollectPayment")],
)
async def test_a_command_that_comes_an_hour_late_has_no_effect(
    service: str, kind: str, instance: Instance, staff: Staff, http: httpx.AsyncClient,
    books: InvariantChecker, seed: int,
) -> None:  # fmt: skip
    await allow_any_name(instance)
    watch = Watch(books, f"{kind} an hour late", seed)
    journeys = Journeys(staff, http, await staff.sell(stock=5), books)
    await asyncio.to_thread(instance.stop_process, service)
    _, order_id = await journeys.place()
    held = await delay_messages(instance, service, kind)
    await asyncio.to_thread(instance.start_process, service)
    await until(lambda: is_given_back(books, order_id))
    await send(instance, service, [aged(message) for message in held.messages])
    summary = await watch.summary(injected=len(held.messages))
    assert summary.is_clean(), "\n".join(summary.found)
    assert await staff.level(journeys.product) == (5, 0)
    assert not await books.rows(
        "sandbox", "select 1 from charges where reference = $1 and captured_amount > 0", order_id
    )


@pytest.mark.full
async def test_a_reply_that_is_an_hour_late_is_handled(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker, seed: int
) -> None:
    """The money was taken; the order ended before orders received the event."""
    await allow_any_name(instance)
    watch = Watch(books, "payments.PaymentCaptured an hour late", seed)
    journeys = Journeys(staff, http, await staff.sell(stock=5), books)
    order_id, held = await captured_and_held(instance, journeys)
    await until(lambda: is_given_back(books, order_id))
    await send(instance, "orders", [aged(message) for message in held.messages])
    summary = await watch.summary(injected=len(held.messages))
    assert summary.is_clean(), "\n".join(summary.found)


async def captured_and_held(instance: Instance, journeys: Journeys) -> tuple[str, DelayedMessages]:
    """Buy, and keep from orders that the money was captured."""
    await asyncio.to_thread(instance.stop_process, "payments")
    _, order_id = await journeys.place()
    await journeys.stage(order_id, "collecting")
    await asyncio.to_thread(instance.stop_process, "orders")
    await asyncio.to_thread(instance.start_process, "payments")
    held = await delay_messages(instance, "orders", "payments.PaymentCaptured")
    await asyncio.to_thread(instance.start_process, "orders")
    return order_id, held


@pytest.mark.full
async def test_orders_overtake_the_poison_that_was_sent_before_them(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker, seed: int
) -> None:
    """What fails again and again waits for its attempts beside the queue, not at its head.

    Judged by the order of handling alone: were the queue blocked, no order would be confirmed
    before the poison sent ahead of it was dead.
    """
    await allow_any_name(instance)
    product = await staff.sell(stock=ROUNDS)
    watch = Watch(books, "poison beside buyers", seed)
    overtakes = 0
    for number in range(1, ROUNDS + 1):
        for kind in KINDS:
            await send(instance, "orders", [poison(kind)])
        buyer = Buyer(http, staff)
        assert (await buyer.buys(product))["status"] == "confirmed"
        dead = (await books.queues())["svc.orders.dead"]
        overtakes += dead < number * len(KINDS)
    print(f"\n{overtakes} of {ROUNDS} orders overtook the poison sent ahead of them")
    sent = ROUNDS * len(KINDS)
    await until(lambda: all_dead(books, sent))
    assert len(await dead_letters(instance, "orders")) == sent
    summary = await watch.summary(injected=sent)
    assert summary.is_clean(), "\n".join(summary.found)
    assert overtakes


async def all_dead(books: InvariantChecker, count: int) -> bool:
    """Whether so many dead letters of orders are there."""
    return (await books.queues())["svc.orders.dead"] == count


async def test_poison_is_set_aside_after_the_declared_attempts(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker
) -> None:
    await allow_any_name(instance)
    product = await staff.sell(stock=BUYERS)
    wanted = Counter({(kind, attempts_of(kind)): EACH for kind in KINDS})
    names: dict[str, str] = {}
    for kind in KINDS:
        messages = [poison(kind) for _ in range(EACH)]
        names |= {str(message.message_id): kind for message in messages}
        await send(instance, "orders", messages)
    orders = await asyncio.gather(*(Buyer(http, staff).buys(product) for _ in range(BUYERS)))
    assert {order["status"] for order in orders} == {"confirmed"}
    await until(lambda: all_dead(books, EACH * len(KINDS)))
    letters = await dead_letters(instance, "orders")
    found = Counter(
        (names[str(each.message_id)], int(str(each.headers["x-attempts"]))) for each in letters
    )
    assert found == wanted
    await books.settle()
    assert await books.violations() == []


@pytest.mark.full
async def test_a_message_waits_in_the_outbox_while_a_binding_is_missing(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, books: InvariantChecker, seed: int
) -> None:
    watch = Watch(books, "a missing binding", seed)
    parked = await unbound(Attack(instance, staff, http, books, seed))
    assert parked == 1
    summary = await watch.summary(injected=1)
    assert summary.is_clean(), "\n".join(summary.found)
