"""What an operator does when something is wrong, by the documents, on a suite where it really is."""

import asyncio
import json

import httpx
import pytest
from composition import Composition, buys
from pasting import Operator, blocks

from shopfloor import Buyer, Staff, until

pytestmark = pytest.mark.thorough


async def test_a_checkout_that_stands_still_is_found_resumed_and_ended(
    operator: Operator, composition: Composition, staff: Staff, http: httpx.AsyncClient
) -> None:
    find, again, end = blocks("stuck-checkout.md")
    buyer = Buyer(http, staff)
    by_bank = {"method": "card", "token": "tok_action"}
    order = await buyer.buys(await staff.sell(stock=1), payment=by_bank, wait=0)

    async def waits() -> bool:
        return str((await staff.saga(order["id"]))["stage"]) == "awaiting_customer"

    await until(waits, 120)
    lose = f"update checkout_sagas set deadline_at = null where order_id = '{order['id']}'"
    project = composition.project
    project.run("exec", "-T", "postgres", "psql", "--username", "postgres", "orders", "-c", lose)
    output = await asyncio.to_thread(operator.pastes, find, ORDER=order["id"])
    assert order["order_number"] in output
    assert "PaymentActionRequired" in output
    await asyncio.to_thread(operator.pastes, again, ORDER=order["id"])
    output = await asyncio.to_thread(operator.pastes, end, ORDER=order["id"])
    assert (await staff.ended(order["id"]))["stage"] == "cancelled"
    assert all(action in output for action in ("saga.resume", "saga.retry", "saga.compensate"))


async def test_dead_letters_are_looked_at_redriven_and_given_up(
    operator: Operator, composition: Composition
) -> None:
    look, redrive, discard = blocks("dead-letters.md")
    await asyncio.to_thread(composition.poison)

    async def dead() -> list[dict[str, object]]:
        output = await asyncio.to_thread(operator.pastes, "cartwright dead list --json")
        return list(json.loads(output))

    await until(dead, 120)
    assert "Undeliverable" in await asyncio.to_thread(operator.pastes, look)
    output = await asyncio.to_thread(operator.pastes, redrive)
    # The cause is still there, so it fails again.
    await until(dead, 120)
    output = await asyncio.to_thread(operator.pastes, discard)
    assert "nothing left over" in output
    assert await dead() == []


@pytest.mark.parametrize(("server", "place"), [("rabbitmq", 0), ("postgres", 1)])
async def test_orders_are_taken_up_again_when_a_server_is_back(
    operator: Operator,
    composition: Composition,
    staff: Staff,
    http: httpx.AsyncClient,
    server: str,
    place: int,
) -> None:
    back = blocks("outage.md")[place]
    buyer = Buyer(http, staff)
    order = await buyer.buys(await staff.sell(stock=1), wait=0)
    await asyncio.to_thread(composition.project.run, "stop", server)
    await asyncio.to_thread(operator.pastes, back)
    await buyer.reaches(order["id"], "confirmed", 240)
    await buys(Buyer(http, staff), await staff.sell(stock=1))


async def test_a_service_that_is_gone_is_started_by_hand(
    operator: Operator, composition: Composition, staff: Staff, http: httpx.AsyncClient
) -> None:
    *_, by_hand = blocks("outage.md")
    await asyncio.to_thread(composition.project.run, "kill", "orders")
    await asyncio.to_thread(operator.pastes, by_hand)
    await buys(Buyer(http, staff), await staff.sell(stock=1))
