"""Commands as orders sends them, with sensible defaults."""

from typing import Any
from uuid import UUID

from chassis.ids import new_id
from contracts.money import Money
from contracts.payments import CancelPayment, CapturePayment, CollectPayment, RefundPayment
from testkit.harness import Harness

PRICE = Money(amount=1999, currency="USD")


def collect(token: str | None = "tok_ok", **changes: Any) -> CollectPayment:
    facts: dict[str, Any] = {
        "operation_id": new_id(),
        "order_id": new_id(),
        "order_number": "2026-000123",
        "amount": PRICE,
        "method": "card",
        "token": token,
    }
    return CollectPayment(**(facts | changes))


def capture(order_id: UUID, **changes: Any) -> CapturePayment:
    return CapturePayment(**({"operation_id": new_id(), "order_id": order_id} | changes))


def cancel(order_id: UUID, **changes: Any) -> CancelPayment:
    return CancelPayment(**({"operation_id": new_id(), "order_id": order_id} | changes))


def refund(order_id: UUID, amount: int | None = None, **changes: Any) -> RefundPayment:
    money = None if amount is None else Money(amount=amount, currency="USD")
    facts = {"operation_id": new_id(), "order_id": order_id, "amount": money, "reason": "because"}
    return RefundPayment(**(facts | changes))


async def run_sweep(payments: Harness[Any], name: str) -> int | None:
    """Run one turn of a sweep, as the worker does."""
    sweep = next(each for each in payments.service.sweeps_of(payments.running) if each.name == name)
    return await sweep.work(payments.running.database)
