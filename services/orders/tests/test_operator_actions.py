"""Operator actions on a stuck saga, and their refusals."""

from typing import Any
from uuid import UUID

import pytest
from saga_play import DEADLINES, NOW, PAID, after, message, play

from chassis.ids import new_id
from contracts.inventory import ReleaseStock, ReserveStock, StockReleased, StockReserved
from contracts.message import Command
from contracts.money import Money
from contracts.orders import OrderCancelled
from contracts.payments import CancelPayment, PaymentCancelled, PaymentCaptured
from contracts.shipping import CancelShipments, CreateShipments, ShipmentImpossible
from orders.domain.checkout import (
    CancelRequested,
    DeadlinePassed,
    ResumeRequested,
    RetryRequested,
    SkipRequested,
)
from orders.domain.order import Stage
from orders.saga import engine
from orders.saga.table import FINAL, MOVES
from testkit.harness import Harness

REASON = {"reason": "the test wants it"}


@pytest.mark.parametrize(
    "story",
    [(), (StockReserved,), (StockReserved, DeadlinePassed), (*PAID,), (*PAID, CancelRequested)],
)
def test_a_retry_sends_the_same_operation_and_stays_in_the_stage(story: tuple[type, ...]) -> None:
    _, stage, order = play(*story)
    first = engine.apply(order, RetryRequested(), NOW, DEADLINES).sent
    again = engine.apply(order, RetryRequested(), NOW, DEADLINES).sent
    operations = [
        [m.operation_id for m in sent if isinstance(m, Command)] for sent in (first, again)
    ]

    assert operations[0] == operations[1] != []
    assert order.stage is stage
    assert order.repeats == 0


def test_every_running_stage_can_be_retried_and_given_a_new_deadline() -> None:
    for stage in set(Stage) - FINAL - {Stage.NEEDS_REVIEW}:
        assert (stage, RetryRequested) in MOVES
        assert (stage, ResumeRequested) in MOVES


def test_no_stage_before_the_pivot_can_be_skipped() -> None:
    skipped = {stage for stage, kind in MOVES if kind is SkipRequested}
    before_the_pivot = {Stage.RESERVING, Stage.REDEEMING, Stage.COLLECTING, Stage.AWAITING_CUSTOMER}
    assert skipped & before_the_pivot == set()


def test_a_stage_with_captured_money_is_never_skipped() -> None:
    story = (StockReserved, DeadlinePassed, PaymentCaptured)
    _, stage, order = play(*story)
    assert (stage, order.unrefunded_amount) == (Stage.REFUNDING, 2500)
    transition = engine.apply(order, message(SkipRequested, order), NOW, DEADLINES)
    assert (transition.outcome, order.stage) == ("ignored", Stage.REFUNDING)


def test_a_skipped_payment_cancellation_ends_the_order_once() -> None:
    sent, stage = after(
        StockReserved, DeadlinePassed, PaymentCancelled, SkipRequested, StockReleased
    )
    assert sent[-2:] == [ReleaseStock, OrderCancelled]
    assert stage is Stage.CANCELLED


async def order_in(orders: Any, guest: Any, *events: type, key: str = "k") -> UUID:
    """An order to whose saga these events were applied."""
    guest.cart_id = new_id()
    order_id = UUID((await guest.check_out(key=key)).json()["id"])
    usd = Money(amount=2500, currency="USD")
    facts: dict[type, dict[str, Any]] = {
        StockReserved: {"allocations": []},
        PaymentCaptured: {"payment_id": new_id(), "method": "card", "captured": usd},
        ShipmentImpossible: {"reason": "no carrier", "lines": []},
    }
    for kind in events:
        await orders.deliver(kind(order_id=order_id, **facts.get(kind, {})))
    await orders.clear_outbox()
    return order_id


async def act(
    orders: Harness[Any], order_id: UUID, action: str, *, may_refund: bool = True, **body: Any
) -> Any:
    refund = ("orders:refund",) if may_refund else ()
    headers = orders.signed_in(permissions=("ops:read", "ops:write", "orders:read", *refund))
    headers["Idempotency-Key"] = new_id().hex
    url = f"/v1/admin/sagas/{order_id}/{action}"
    return await orders.client.post(url, json={**REASON, **body}, headers=headers)


async def audited(orders: Harness[Any], order_id: UUID) -> Any:
    headers = orders.signed_in(permissions=("ops:read",))
    url = f"/v1/admin/ops/orders/audit?target={order_id}"
    return (await orders.client.get(url, headers=headers)).json()["items"]


async def test_a_retry_sends_the_command_again_and_is_audited(orders: Any, guest: Any) -> None:
    order_id = await order_in(orders, guest)
    answer = await act(orders, order_id, "retry")
    (entry,) = await audited(orders, order_id)

    assert answer.status_code == 202, answer.text
    assert answer.json()["steps"][-1]["heard"] == "RetryRequested"
    assert [type(m) for m in await orders.published()] == [ReserveStock]
    assert (entry["action"], entry["reason"]) == ("saga.retry", REASON["reason"])
    assert entry["before"]["stage"] == entry["after"]["stage"] == "reserving"
    assert entry["actor"].startswith("user:")


async def test_a_saga_that_waits_for_staff_is_resumed(orders: Any, guest: Any) -> None:
    order_id = await order_in(orders, guest, StockReserved, PaymentCaptured, ShipmentImpossible)
    refused = await act(orders, order_id, "retry")
    answer = await act(orders, order_id, "resume")

    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_retry")
    assert answer.json()["stage"] == "fulfilling"
    assert [type(m) for m in await orders.published()] == [CreateShipments]


async def test_a_saga_without_a_deadline_gets_one_again(orders: Any, guest: Any) -> None:
    order_id = await order_in(orders, guest)
    running = await act(orders, order_id, "resume")
    await orders.sql("update checkout_sagas set deadline_at = null")
    answer = await act(orders, order_id, "resume")

    assert (running.status_code, running.json()["code"]) == (409, "not_standing_still")
    assert answer.json()["deadline_at"] is not None


async def test_a_stage_that_staff_settled_by_hand_is_skipped(orders: Any, guest: Any) -> None:
    order_id = await order_in(orders, guest, StockReserved, PaymentCaptured)
    answer = await act(orders, order_id, "skip")
    fresh = await order_in(orders, guest, key="other")
    refused = await act(orders, fresh, "skip")

    assert answer.json()["stage"] == "completed"
    assert (refused.status_code, refused.json()["code"]) == (409, "may_not_skip")


async def test_an_order_is_compensated_from_any_stage(orders: Any, guest: Any) -> None:
    paying = await order_in(orders, guest, StockReserved)
    paid = await order_in(orders, guest, StockReserved, PaymentCaptured, key="other")
    for order_id in (paying, paid):
        assert (await act(orders, order_id, "compensate")).status_code == 202
    again = await act(orders, paid, "compensate")

    assert [type(m) for m in await orders.published()] == [CancelPayment, CancelShipments]
    assert (again.status_code, again.json()["code"]) == (409, "compensates_already")


async def test_the_timeline_shows_attempts_and_waits(orders: Any, guest: Any) -> None:
    order_id = await order_in(orders, guest)
    await act(orders, order_id, "retry")
    answer = await act(orders, order_id, "retry")
    steps = answer.json()["steps"]

    assert [step["attempt"] for step in steps] == [0, 1, 2]
    assert steps[0]["seconds"] is None
    assert all(step["seconds"] >= 0 for step in steps[1:])
    assert all(step["trace_id"] for step in steps)


async def test_the_stuck_filter_lists_sagas_that_repeat_or_missed_their_deadline(
    orders: Any, guest: Any
) -> None:
    well, repeating, lost, late = [
        await order_in(orders, guest, key=key) for key in ("a", "b", "c", "d")
    ]
    change = "update checkout_sagas set {} where order_id = :id"
    await orders.sql(change.format("repeats = 2"), id=repeating)
    await orders.sql(change.format("deadline_at = null"), id=lost)
    await orders.sql(change.format("deadline_at = now() - interval '5 minutes'"), id=late)
    headers = orders.signed_in(permissions=("orders:read",))
    found = (await orders.client.get("/v1/admin/sagas?stuck=true", headers=headers)).json()["items"]

    assert {each["order_id"] for each in found} == {str(each) for each in (repeating, lost, late)}
    assert str(well) not in {each["order_id"] for each in found}
    assert all(each["order_number"] for each in found)


async def test_operator_actions_need_their_permission_and_a_reason(orders: Any, guest: Any) -> None:
    order_id = await order_in(orders, guest)
    for action in ("retry", "skip", "resume", "compensate"):
        url = f"/v1/admin/sagas/{order_id}/{action}"
        staff = {**orders.signed_in(permissions=("orders:write",)), "Idempotency-Key": "k"}
        assert (await orders.client.post(url, json=REASON, headers=staff)).status_code == 403
        assert (await act(orders, order_id, action, reason="")).status_code == 422
        assert (await act(orders, new_id(), action)).status_code == 404
    assert await audited(orders, order_id) == []


async def test_the_reconciliation_lists_the_money_of_every_order(orders: Any, guest: Any) -> None:
    paid = await order_in(orders, guest, StockReserved, PaymentCaptured)
    placed = await order_in(orders, guest, key="other")
    headers = orders.signed_in(permissions=("ops:read",))
    url = "/v1/admin/ops/orders/reconciliation"
    first = (await orders.client.get(f"{url}?limit=1", headers=headers)).json()
    rest = await orders.client.get(f"{url}?cursor={first['next_cursor']}", headers=headers)
    rows = [*first["items"], *rest.json()["items"]]

    assert [row["order_id"] for row in rows] == [str(paid), str(placed)]
    assert [row["captured_amount"] for row in rows] == [2500, 0]
    assert [row["stage"] for row in rows] == ["fulfilling", "reserving"]
    later = await orders.client.get(f"{url}?since=2100-01-01T00:00:00Z", headers=headers)
    assert later.json()["items"] == []
    assert (await orders.client.get(url, headers=orders.signed_in())).status_code == 403
