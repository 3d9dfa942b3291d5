"""The books of all services side by side, and where they contradict each other. No I/O.

Amounts are minor units. `kept` is what was captured and not refunded.
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
SOLD = {"confirmed", "shipped", "delivered"}
ENDED = {"completed", "cancelled", "needs_review"}
PROMISED = {"authorized", "captured", "partially_refunded", "refunded"}


@dataclass(frozen=True, slots=True)
class Step:
    """What would mend a finding: a POST to `path`; `words` for people."""

    words: str
    path: str
    body: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Two books that contradict each other. Without a step people must decide, by `advice`."""

    kind: Kind
    subject: str
    order_id: str | None
    says: str
    step: Step | None
    advice: str = ""

    @property
    def id(self) -> str:
        """The name by which it is applied."""
        return f"{self.kind}:{self.subject}"


@dataclass
class Books:
    """What each service says, read in an order in which nothing can be there too early."""

    orders: dict[str, Row] = field(default_factory=dict)
    payments: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    holds: dict[str, Row] = field(default_factory=dict)
    provider: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    provider_at: dict[str, str] = field(default_factory=dict)
    outboxes: dict[str, Row] = field(default_factory=dict)

    def compare(self, settled_before: datetime, unsent_for: float) -> list[Finding]:
        """Every contradiction among orders at rest since `settled_before`; unsent in seconds."""
        found = list(self._unsent(unsent_for))
        for order_id in sorted(self.orders.keys() | self.payments.keys() | self.holds.keys()):
            if self._is_at_rest(order_id, settled_before):
                found += self._order(order_id)
        known = self.orders.keys() | self.payments.keys()
        found += [
            Finding(
                "provider_differs",
                order_id,
                order_id,
                f"the provider keeps {kept} for an order nobody knows",
                None,
                "look it up at the provider",
            )
            for order_id, kept in sorted(self.provider.items())
            if kept and order_id not in known and self._rests(order_id, settled_before)
        ]
        return found

    def _rests(self, order_id: str, before: datetime) -> bool:
        at = self.provider_at.get(order_id)
        return at is None or datetime.fromisoformat(at) < before

    def _is_at_rest(self, order_id: str, before: datetime) -> bool:
        """Whether nothing of the order moves: what is in flight contradicts itself for a while."""
        order, hold = self.orders.get(order_id), self.holds.get(order_id)
        if order is not None and order["stage"] not in ENDED:
            return False
        rows = [row for row in (order, hold, *self.payments.get(order_id, ())) if row is not None]
        return self._rests(order_id, before) and all(
            datetime.fromisoformat(row["updated_at"]) < before for row in rows
        )

    def _order(self, order_id: str) -> Iterator[Finding]:
        money = list(self._provider(order_id))
        # What the provider says is learned first; the rest is looked at when that is done.
        yield from money or self._money(order_id)
        yield from self._hold(order_id)

    def _provider(self, order_id: str) -> Iterator[Finding]:
        payments = [row for row in self.payments.get(order_id, ()) if row["method"] != "cod"]
        ours, theirs = kept_of(payments), self.provider.get(order_id, 0)
        if not payments or ours == theirs:
            return
        says = f"the provider keeps {theirs}, our payments {ours}"
        for payment in payments[-1:]:
            yield self._found("provider_differs", order_id, says, restated(payment))

    def _money(self, order_id: str) -> Iterator[Finding]:
        order, payments = self.orders.get(order_id), self.payments.get(order_id, [])
        kept = kept_of(payments)
        if order is None or order["status"] == "cancelled":
            if kept:
                what = "an order that does not exist" if order is None else "a cancelled order"
                says = f"{kept} {payments[-1]['currency']} kept for {what}"
                yield self._found("paid_without_order", order_id, says, refunded(payments, kept))
            return
        if order["status"] not in SOLD or not order["total_amount"]:
            return
        if not any(row["status"] in PROMISED for row in payments):
            yield self._unpaid(order_id, order)
        elif any(row["captured_amount"] for row in payments):
            yield from self._captured(order_id, order, payments)

    def _unpaid(self, order_id: str, order: Row) -> Finding:
        says = f"{order['status']} for {order['total_amount']} {order['currency']}, never paid"
        if order["handed_over"]:
            advice = "the goods are gone: ask the customer to pay"
            return self._found("order_without_payment", order_id, says, None, advice)
        step = Step("compensate the order", f"/v1/admin/sagas/{order_id}/compensate")
        return self._found("order_without_payment", order_id, says, step)

    def _captured(self, order_id: str, order: Row, payments: list[Row]) -> Iterator[Finding]:
        captured = sum(row["captured_amount"] for row in payments)
        gone = sum(row["refunded_amount"] for row in payments)
        unit = order["currency"]
        if (order["captured_amount"], order["refunded_amount"]) != (captured, gone):
            says = (
                f"orders believes {order['captured_amount']} {unit} captured and "
                f"{order['refunded_amount']} refunded, payments has {captured} and {gone}"
            )
            yield self._found("captured_differs", order_id, says, restated(payments[-1]))
        elif captured > order["total_amount"] and captured - gone > order["total_amount"]:
            much = captured - gone - order["total_amount"]
            says = f"{captured - gone} {unit} kept for an order of {order['total_amount']}"
            yield self._found("captured_differs", order_id, says, refunded(payments, much))
        elif captured < order["total_amount"]:
            says = f"{captured} {unit} captured for an order of {order['total_amount']}"
            advice = "ask the customer for the rest, or compensate the order"
            yield self._found("captured_differs", order_id, says, None, advice)

    def _hold(self, order_id: str) -> Iterator[Finding]:
        order, hold = self.orders.get(order_id), self.holds.get(order_id)
        if hold is None or (order is not None and order["status"] != "cancelled"):
            return
        what = "an order that does not exist" if order is None else "a cancelled order"
        path = f"/v1/admin/ops/inventory/reconciliation/{order_id}/release"
        step = Step("put them back on sale", path)
        yield self._found("hold_without_order", order_id, f"{hold['pieces']} held for {what}", step)

    def _unsent(self, unsent_for: float) -> Iterator[Finding]:
        for service, outbox in self.outboxes.items():
            old = (outbox["oldest_seconds"] or 0) > unsent_for
            if not outbox["parked"] and not (outbox["waiting"] and old):
                continue
            says = f"{outbox['waiting']} messages unsent, {outbox['parked']} of them parked"
            step = Step("try them again", f"/v1/admin/ops/{service}/outbox/retry")
            yield Finding("unsent", service, None, says, step)

    def _found(
        self, kind: Kind, order_id: str, says: str, step: Step | None, advice: str = ""
    ) -> Finding:
        order = self.orders.get(order_id)
        subject = order["order_number"] if order else order_id
        return Finding(kind, subject, order_id, says, step, advice)


def made_at(order_id: str) -> datetime | None:
    """When an order was placed, by its id, a UUIDv7; None for what is not an order's id."""
    try:
        milliseconds = UUID(order_id).int >> 80
    except ValueError:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def kept_of(payments: Iterable[Row]) -> int:
    """What was captured and not refunded."""
    return sum(row["captured_amount"] - row["refunded_amount"] for row in payments)


def restated(payment: Row) -> Step:
    """Ask the provider, learn what it says, tell orders."""
    path = f"/v1/admin/ops/payments/reconciliation/{payment['payment_id']}"
    return Step("ask the provider and tell orders again", path)


def refunded(payments: list[Row], amount: int) -> Step | None:
    """Give an amount back from the payment that holds it; None when none holds all of it."""
    for payment in payments:
        left = kept_of([payment]) - payment["refunding_amount"]
        if left >= amount:
            money = {"amount": amount, "currency": payment["currency"]}
            path = f"/v1/admin/payments/{payment['payment_id']}/refunds"
            return Step(f"refund {amount} {payment['currency']}", path, {"amount": money})
    return None
