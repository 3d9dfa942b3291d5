"""Where the records of the services contradict each other. No I/O.

Amounts are minor units. The balance of a payment is what was captured and not refunded.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

Row = dict[str, Any]
Kind = Literal[
    "paid_without_order",
    "order_without_payment",
    "captured_differs",
    "hold_without_order",
    "provider_differs",
    "unsent",
]
SOLD_STATUSES = {"confirmed", "shipped", "delivered"}
ENDED_STAGES = {"completed", "cancelled", "needs_review"}
PAID_STATUSES = {"authorized", "captured", "partially_refunded", "refunded"}


@dataclass(frozen=True, slots=True)
class Step:
    """The repair of a discrepancy: a POST to `path`; `title` describes it to the operator."""

    title: str
    path: str
    body: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Two records that contradict each other. Without a step staff decide, by `advice`."""

    kind: Kind
    subject: str
    order_id: str | None
    detail: str
    step: Step | None
    advice: str = ""

    @property
    def id(self) -> str:
        """The value of `reconcile --only`."""
        return f"{self.kind}:{self.subject}"


@dataclass
class Records:
    """What the services and the provider have on record, by order id; outboxes by service.

    provider: the balance of each order at the provider; provider_at: its last movement.
    """

    orders: dict[str, Row] = field(default_factory=dict)
    payments: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    holds: dict[str, Row] = field(default_factory=dict)
    provider: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    provider_at: dict[str, str] = field(default_factory=dict)
    outboxes: dict[str, Row] = field(default_factory=dict)

    def discrepancies(self, settled_before: datetime, unsent_for: float) -> list[Discrepancy]:
        """Return every discrepancy of orders unchanged since `settled_before`.

        unsent_for: seconds after which a message in an outbox counts as unsent.
        """
        found = list(self._unsent(unsent_for))
        for order_id in sorted(self.orders.keys() | self.payments.keys() | self.holds.keys()):
            if self._is_settled(order_id, settled_before):
                found += self._order(order_id)
        known = self.orders.keys() | self.payments.keys()
        found += [
            Discrepancy(
                "provider_differs",
                order_id,
                order_id,
                f"the provider holds {balance} for an order that no service knows",
                None,
                "look it up at the provider",
            )
            for order_id, balance in sorted(self.provider.items())
            if balance
            and order_id not in known
            and self._provider_settled(order_id, settled_before)
        ]
        return found

    def _provider_settled(self, order_id: str, before: datetime) -> bool:
        at = self.provider_at.get(order_id)
        return at is None or datetime.fromisoformat(at) < before

    def _is_settled(self, order_id: str, before: datetime) -> bool:
        """Whether no record of the order changes: an order in flight contradicts itself."""
        order, hold = self.orders.get(order_id), self.holds.get(order_id)
        if order is not None and order["stage"] not in ENDED_STAGES:
            return False
        rows = [row for row in (order, hold, *self.payments.get(order_id, ())) if row is not None]
        return self._provider_settled(order_id, before) and all(
            datetime.fromisoformat(row["updated_at"]) < before for row in rows
        )

    def _order(self, order_id: str) -> Iterator[Discrepancy]:
        # The provider is authoritative: our own figures are compared once they agree with it.
        yield from list(self._provider(order_id)) or self._payments(order_id)
        yield from self._hold(order_id)

    def _provider(self, order_id: str) -> Iterator[Discrepancy]:
        payments = [row for row in self.payments.get(order_id, ()) if row["method"] != "cod"]
        ours, theirs = balance_of(payments), self.provider.get(order_id, 0)
        if not payments or ours == theirs:
            return
        detail = f"the provider holds {theirs}, our payments {ours}"
        yield self._found("provider_differs", order_id, detail, resync_step(payments[-1]))

    def _payments(self, order_id: str) -> Iterator[Discrepancy]:
        order, payments = self.orders.get(order_id), self.payments.get(order_id, [])
        balance = balance_of(payments)
        if order is None or order["status"] == "cancelled":
            if balance:
                what = "an order that does not exist" if order is None else "a cancelled order"
                detail = f"{balance} {payments[-1]['currency']} paid for {what}"
                step = refund_step(payments, balance)
                yield self._found("paid_without_order", order_id, detail, step)
            return
        if order["status"] not in SOLD_STATUSES or not order["total_amount"]:
            return
        if not any(row["status"] in PAID_STATUSES for row in payments):
            yield self._unpaid(order_id, order)
        elif any(row["captured_amount"] for row in payments):
            yield from self._captured(order_id, order, payments)

    def _unpaid(self, order_id: str, order: Row) -> Discrepancy:
        detail = f"{order['status']} for {order['total_amount']} {order['currency']}, never paid"
        if order["handed_over"]:
            advice = "the parcel was handed over: request the payment from the customer"
            return self._found("order_without_payment", order_id, detail, None, advice)
        step = Step("compensate the order", f"/v1/admin/sagas/{order_id}/compensate")
        return self._found("order_without_payment", order_id, detail, step)

    def _captured(self, order_id: str, order: Row, payments: list[Row]) -> Iterator[Discrepancy]:
        captured = sum(row["captured_amount"] for row in payments)
        refunded = sum(row["refunded_amount"] for row in payments)
        unit = order["currency"]
        if (order["captured_amount"], order["refunded_amount"]) != (captured, refunded):
            detail = (
                f"orders recorded {order['captured_amount']} {unit} captured and "
                f"{order['refunded_amount']} refunded, payments {captured} and {refunded}"
            )
            yield self._found("captured_differs", order_id, detail, resync_step(payments[-1]))
        elif captured > order["total_amount"] and captured - refunded > order["total_amount"]:
            excess = captured - refunded - order["total_amount"]
            detail = f"{captured - refunded} {unit} paid for an order of {order['total_amount']}"
            yield self._found("captured_differs", order_id, detail, refund_step(payments, excess))
        elif captured < order["total_amount"]:
            detail = f"{captured} {unit} captured for an order of {order['total_amount']}"
            advice = "request the rest from the customer, or compensate the order"
            yield self._found("captured_differs", order_id, detail, None, advice)

    def _hold(self, order_id: str) -> Iterator[Discrepancy]:
        order, hold = self.orders.get(order_id), self.holds.get(order_id)
        if hold is None or (order is not None and order["status"] != "cancelled"):
            return
        what = "an order that does not exist" if order is None else "a cancelled order"
        path = f"/v1/admin/ops/inventory/reconciliation/{order_id}/release"
        step = Step("release the hold", path)
        yield self._found("hold_without_order", order_id, f"{hold['pieces']} held for {what}", step)

    def _unsent(self, unsent_for: float) -> Iterator[Discrepancy]:
        for service, outbox in self.outboxes.items():
            old = (outbox["oldest_seconds"] or 0) > unsent_for
            if not outbox["parked"] and not (outbox["waiting"] and old):
                continue
            detail = f"{outbox['waiting']} messages unsent, {outbox['parked']} of them parked"
            step = Step("retry the outbox", f"/v1/admin/ops/{service}/outbox/retry")
            yield Discrepancy("unsent", service, None, detail, step)

    def _found(
        self, kind: Kind, order_id: str, detail: str, step: Step | None, advice: str = ""
    ) -> Discrepancy:
        order = self.orders.get(order_id)
        subject = order["order_number"] if order else order_id
        return Discrepancy(kind, subject, order_id, detail, step, advice)


def placed_at(order_id: str) -> datetime | None:
    """The time in an order's id, a UUIDv7; None for any other text."""
    try:
        milliseconds = UUID(order_id).int >> 80
    except ValueError:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def balance_of(payments: Iterable[Row]) -> int:
    """What was captured and not refunded."""
    return sum(row["captured_amount"] - row["refunded_amount"] for row in payments)


def resync_step(payment: Row) -> Step:
    """Query the provider, apply its state to the payment, and publish that to orders."""
    path = f"/v1/admin/ops/payments/reconciliation/{payment['payment_id']}"
    return Step("query the provider and publish the payment again", path)


def refund_step(payments: list[Row], amount: int) -> Step | None:
    """Refund an amount from one payment; None when no single payment covers it."""
    for payment in payments:
        left = balance_of([payment]) - payment["refunding_amount"]
        if left >= amount:
            money = {"amount": amount, "currency": payment["currency"]}
            path = f"/v1/admin/payments/{payment['payment_id']}/refunds"
            return Step(f"refund {amount} {payment['currency']}", path, {"amount": money})
    return None
