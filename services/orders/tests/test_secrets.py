"""The provider's token is stored only as long as a command may need it."""

from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from contracts.inventory import StockRejected, StockReserved
from contracts.message import Message
from contracts.money import Money
from contracts.payments import (
    CollectPayment,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
)

TOKEN = "tok_canary_of_a_card"
USD = Money(amount=2500, currency="USD")


async def is_stored(orders: Any) -> bool:
    rows = await orders.sql("select s::text from checkout_sagas s")
    return any(TOKEN in row[0] for row in rows)


def paid(order_id: UUID) -> dict[str, Any]:
    return {"order_id": order_id, "payment_id": new_id(), "method": "card"}


def reserved(order_id: UUID) -> Message:
    return StockReserved(order_id=order_id, allocations=[])


@pytest.mark.parametrize("outcome", ["captured", "authorized", "failed", "out of stock"])
async def test_the_payment_token_is_dropped_once_no_command_needs_it(
    orders: Any, guest: Any, outcome: str
) -> None:
    answer = await guest.check_out(payment={"method": "card", "token": TOKEN})
    order_id = UUID(answer.json()["id"])
    assert await is_stored(orders)
    if outcome == "out of stock":
        await orders.deliver(StockRejected(order_id=order_id, reason="insufficient"))
        assert not await is_stored(orders)
        return
    await orders.deliver(reserved(order_id))
    [command] = await orders.published(CollectPayment)
    assert command.token == TOKEN
    action = PaymentActionRequired(order_id=order_id, payment_id=new_id(), amount=USD)
    await orders.deliver(action)
    assert await is_stored(orders)

    last: dict[str, Message] = {
        "captured": PaymentCaptured(captured=USD, **paid(order_id)),
        "authorized": PaymentAuthorized(amount=USD, capture="now", **paid(order_id)),
        "failed": PaymentFailed(order_id=order_id, amount=USD, reason="card_declined"),
    }
    await orders.deliver(last[outcome])

    assert not await is_stored(orders)
    (saga,) = await orders.sql("select facts from checkout_sagas")
    assert saga.facts["payment"]["capture"] == "now"
