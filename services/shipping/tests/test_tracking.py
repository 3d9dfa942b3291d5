"""Status changes of a shipment, and the events it publishes."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from chassis.ids import new_id
from contracts.shipping import Milestone, ShipmentHandedOver, ShipmentUpdated
from shipping.domain.shipments import (
    MILESTONES,
    Report,
    Shipment,
    ShipmentClosed,
    split_evenly,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Events = list[ShipmentHandedOver | ShipmentUpdated]


def a_shipment(status: str = "pending") -> Shipment:
    line = {"line_id": str(new_id()), "variant_id": str(new_id()), "quantity": 2}
    return Shipment(
        id=new_id(),
        order_id=new_id(),
        warehouse_id=new_id(),
        status=status,
        status_at=NOON - timedelta(days=1),
        lines=[line],
        collect_amount=0,
        version=1,
        sequence=0,
    )


def report(milestone: Milestone, hours: int = 0) -> Report:
    return Report(milestone=milestone, occurred_at=NOON + timedelta(hours=hours))


def play(shipment: Shipment, *reports: Report) -> Events:
    return [each for report in reports for each in shipment.track(report, 0)]


def test_the_status_follows_the_milestones() -> None:
    shipment = a_shipment()
    reports = [report(milestone, hours) for hours, milestone in enumerate(MILESTONES[:-1])]
    seen = []
    for each in reports:
        play(shipment, each)
        seen.append(shipment.status)
    assert seen == [
        "scheduled",
        "packed",
        "in_transit",
        "in_transit",
        "out_for_delivery",
        "delivered",
    ]
    assert shipment.shipped_at == NOON + timedelta(hours=2)
    assert shipment.delivered_at == NOON + timedelta(hours=5)


def test_the_handover_is_published_once_and_before_the_update() -> None:
    events = play(a_shipment(), report("shipped"), report("shipped", 1), report("in_transit", 2))
    assert [type(each).__name__ for each in events] == [
        "ShipmentHandedOver",
        "ShipmentUpdated",
        "ShipmentUpdated",
        "ShipmentUpdated",
    ]
    assert [each.sequence for each in events] == [1, 2, 3, 4]


@pytest.mark.parametrize("milestone", ["in_transit", "out_for_delivery", "delivered", "failed"])
def test_a_milestone_after_the_warehouse_implies_the_handover(milestone: Milestone) -> None:
    events = play(a_shipment(), report(milestone))
    assert isinstance(events[0], ShipmentHandedOver)


@pytest.mark.parametrize("milestone", ["order_received", "packed"])
def test_a_shipment_in_the_warehouse_is_not_handed_over(milestone: Milestone) -> None:
    shipment = a_shipment()
    assert [type(each) for each in play(shipment, report(milestone))] == [ShipmentUpdated]
    assert not shipment.was_handed_over


def test_reports_in_any_order_give_the_same_final_status() -> None:
    travel = [report(milestone, hours) for hours, milestone in enumerate(MILESTONES[:-1])]
    for reports in permutations(travel):
        shipment = a_shipment()
        events = play(shipment, *reports)
        assert shipment.status == "delivered"
        assert shipment.delivered_at == travel[-1].occurred_at
        assert sum(isinstance(each, ShipmentHandedOver) for each in events) == 1
        assert sum(isinstance(each, ShipmentUpdated) for each in events) == len(travel)


def test_a_late_report_is_published_but_does_not_change_the_status() -> None:
    shipment = a_shipment()
    events = play(shipment, report("delivered", 5), report("packed", 1))
    assert isinstance(events[-1], ShipmentUpdated)
    assert (events[-1].milestone, events[-1].status) == ("packed", "delivered")


def test_a_failed_delivery_can_be_attempted_again() -> None:
    shipment = a_shipment()
    play(shipment, report("out_for_delivery", 1), report("failed", 2))
    assert shipment.status == "failed"
    play(shipment, report("out_for_delivery", 20), report("delivered", 21))
    assert shipment.status == "delivered"


def test_a_shipment_refused_at_the_door_stays_failed() -> None:
    shipment = a_shipment()
    shipment.collect_amount = 2500
    play(shipment, report("out_for_delivery", 1), report("failed", 2))
    play(shipment, report("out_for_delivery", 20), report("delivered", 21))
    assert shipment.status == "failed"


def test_a_failed_attempt_reported_late_does_not_undo_the_next_one() -> None:
    shipment = a_shipment()
    play(shipment, report("out_for_delivery", 1), report("out_for_delivery", 20))
    play(shipment, report("failed", 2))
    assert shipment.status == "out_for_delivery"


def test_a_cancelled_shipment_cannot_be_tracked() -> None:
    shipment = a_shipment()
    shipment.cancel(NOON)
    with pytest.raises(ShipmentClosed):
        play(shipment, report("shipped"))


def test_open_shipments_are_counted_after_the_report() -> None:
    shipment = a_shipment()
    for milestone, others, expected in (("shipped", 1, 2), ("delivered", 1, 1), ("failed", 0, 0)):
        last = shipment.track(report(milestone), others)[-1]  # type: ignore[arg-type]
        assert isinstance(last, ShipmentUpdated)
        assert last.open_shipments == expected


@pytest.mark.parametrize(
    ("amount", "count", "expected"), [(590, 1, [590]), (100, 3, [34, 33, 33]), (0, 2, [0, 0])]
)
def test_splitting_loses_no_minor_unit(amount: int, count: int, expected: list[int]) -> None:
    assert split_evenly(amount, count) == expected
