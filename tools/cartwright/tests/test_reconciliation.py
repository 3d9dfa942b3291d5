"""Discrepancies between records: every kind is found, and orders in flight are not reported."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cartwright.reconciliation import Discrepancy, Records, placed_at

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = (NOW - timedelta(hours=1)).isoformat()
ID = "01a1fe95-7abc-708d-b8de-bf56f4d0d571"


def order(**changes: Any) -> dict[str, Any]:
    return {
        "order_id": ID,
        "order_number": "2026-000001",
        "status": "confirmed",
        "stage": "completed",
        "payment_method": "card",
        "currency": "USD",
        "total_amount": 2500,
        "captured_amount": 2500,
        "refunded_amount": 0,
        "handed_over": False,
        "updated_at": LONG_AGO,
        **changes,
    }


def payment(**changes: Any) -> dict[str, Any]:
    return {
        "payment_id": "p1",
        "order_id": ID,
        "status": "captured",
        "method": "card",
        "currency": "USD",
        "amount": 2500,
        "captured_amount": 2500,
        "refunded_amount": 0,
        "refunding_amount": 0,
        "updated_at": LONG_AGO,
        **changes,
    }


def found(
    the_order: dict[str, Any] | None,
    *payments: dict[str, Any],
    held: int = 0,
    provider: int | None = None,
    outbox: dict[str, Any] | None = None,
) -> list[Discrepancy]:
    records = Records()
    if the_order:
        records.orders[ID] = the_order
    records.payments[ID] += payments
    if held:
        records.holds[ID] = {"order_id": ID, "pieces": held, "updated_at": LONG_AGO}
    balance = sum(
        p["captured_amount"] - p["refunded_amount"] for p in payments if p["method"] != "cod"
    )
    records.provider[ID] = balance if provider is None else provider
    if outbox:
        records.outboxes["orders"] = outbox
    return records.discrepancies(NOW - timedelta(seconds=60), 60)


def the_one(findings: list[Discrepancy]) -> tuple[str, str | None]:
    (finding,) = findings
    return finding.kind, finding.step.path if finding.step else None


def test_consistent_records_have_no_discrepancies() -> None:
    cash = {"method": "cod", "captured_amount": 0, "status": "authorized"}
    quiet = {"waiting": 3, "parked": 0, "oldest_seconds": 1.0}
    assert found(order(), payment(), held=2, outbox=quiet) == []
    assert found(order(payment_method="cod", captured_amount=0), payment(**cash)) == []
    back = {"captured_amount": 2500, "refunded_amount": 2500}
    assert found(order(status="cancelled", stage="cancelled", **back), payment(**back)) == []
    assert found(order(refunded_amount=500), payment(refunded_amount=500)) == []
    assert found(order(total_amount=0, captured_amount=0)) == []


def test_a_payment_without_an_order_is_refunded() -> None:
    path = "/v1/admin/payments/p1/refunds"
    assert the_one(found(None, payment())) == ("paid_without_order", path)
    gone = order(status="cancelled", stage="cancelled")
    (finding,) = found(gone, payment(refunded_amount=500))
    assert finding.step is not None
    assert finding.step.body == {"amount": {"amount": 2000, "currency": "USD"}}


def test_an_order_without_payment_is_compensated_before_handover_alone() -> None:
    failed = payment(status="failed", captured_amount=0)
    unpaid = order(captured_amount=0)
    path = f"/v1/admin/sagas/{ID}/compensate"
    assert the_one(found(unpaid, failed)) == ("order_without_payment", path)
    assert the_one(found(unpaid)) == ("order_without_payment", path)
    (finding,) = found(order(captured_amount=0, handed_over=True), failed)
    assert (finding.step, finding.advice != "") == (None, True)


def test_a_hold_of_a_cancelled_or_unknown_order_is_released() -> None:
    path = f"/v1/admin/ops/inventory/reconciliation/{ID}/release"
    assert the_one(found(None, held=2)) == ("hold_without_order", path)
    over = order(status="cancelled", stage="cancelled", captured_amount=0)
    assert the_one(found(over, held=1)) == ("hold_without_order", path)


def test_a_captured_amount_other_than_the_total_is_reported() -> None:
    resync = "/v1/admin/ops/payments/reconciliation/p1"
    assert the_one(found(order(captured_amount=0), payment())) == ("captured_differs", resync)
    more, less = payment(captured_amount=3000), payment(captured_amount=1000)
    assert the_one(found(order(captured_amount=3000), more)) == (
        "captured_differs",
        "/v1/admin/payments/p1/refunds",
    )
    assert the_one(found(order(captured_amount=1000), less)) == ("captured_differs", None)


def test_a_difference_from_the_provider_is_resolved_first() -> None:
    resync = "/v1/admin/ops/payments/reconciliation/p1"
    forgotten = payment(status="initiated", captured_amount=0)
    assert the_one(found(order(), forgotten, provider=2500)) == ("provider_differs", resync)
    assert the_one(found(order(), payment(), provider=0)) == ("provider_differs", resync)
    records = Records()
    records.provider["another"] = 100
    assert the_one(records.discrepancies(NOW, 60)) == ("provider_differs", None)


def test_unsent_and_parked_messages_are_reported() -> None:
    path = "/v1/admin/ops/orders/outbox/retry"
    parked = {"waiting": 1, "parked": 1, "oldest_seconds": 1.0}
    old = {"waiting": 1, "parked": 0, "oldest_seconds": 61.0}
    assert the_one(found(None, outbox=parked)) == ("unsent", path)
    assert the_one(found(None, outbox=old)) == ("unsent", path)


def test_orders_in_flight_and_recent_changes_are_skipped() -> None:
    fresh = NOW.isoformat()
    assert found(order(stage="collecting", captured_amount=0, status="pending"), payment()) == []
    assert found(None, payment(updated_at=fresh)) == []
    assert found(order(updated_at=fresh, captured_amount=0), payment()) == []


def test_the_id_of_an_order_holds_the_time_of_placing() -> None:
    assert placed_at(ID) == datetime(2026, 11, 21, 14, 49, 31, 580000, tzinfo=UTC)
    assert placed_at("no order") is None
