"""What moves the status of a parcel, and what is told."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from chassis.ids import new_id
from contracts.shipping import Milestone, ShipmentHandedOver, ShipmentUpdated
from shipping.domain import Report, Shipment, ShipmentClosed
from shipping.domain.fulfilment import shares
from shipping.domain.tracking import MILESTONES

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Told = list[ShipmentHandedOver | ShipmentUpdated]


def parcel(status: str = "pending") -> Shipment:
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


def play(shipment: Shipment, *reports: Report) -> Told:
    return [each for report in reports for each in shipment.track(report, 0)]


def test_a_parcel_travels_to_its_door() -> None:
    shipment = parcel()
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


def test_the_hand_over_is_told_once_before_the_report_of_it() -> None:
    told = play(parcel(), report("shipped"), report("shipped", 1), report("in_transit", 2))
    assert [type(each).__name__ for each in told] == [
        "ShipmentHandedOver",
        "ShipmentUpdated",
        "ShipmentUpdated",
        "ShipmentUpdated",
    ]
    assert [each.sequence for each in told] == [1, 2, 3, 4]


@pytest.mark.parametrize("milestone", ["in_transit", "out_for_delivery", "delivered", "failed"])
def test_a_parcel_on_its_way_was_handed_over_though_nobody_said_so(milestone: Milestone) -> None:
    told = play(parcel(), report(milestone))
    assert isinstance(told[0], ShipmentHandedOver)


@pytest.mark.parametrize("milestone", ["order_received", "packed"])
def test_a_parcel_still_in_the_warehouse_was_not_handed_over(milestone: Milestone) -> None:
    shipment = parcel()
    assert [type(each) for each in play(shipment, report(milestone))] == [ShipmentUpdated]
    assert not shipment.was_handed_over


def test_reports_in_any_order_end_the_same() -> None:
    travel = [report(milestone, hours) for hours, milestone in enumerate(MILESTONES[:-1])]
    for reports in permutations(travel):
        shipment = parcel()
        told = play(shipment, *reports)
        assert shipment.status == "delivered"
        assert shipment.delivered_at == travel[-1].occurred_at
        assert sum(isinstance(each, ShipmentHandedOver) for each in told) == 1
        assert sum(isinstance(each, ShipmentUpdated) for each in told) == len(travel)


def test_a_late_report_is_told_but_moves_nothing_back() -> None:
    shipment = parcel()
    told = play(shipment, report("delivered", 5), report("packed", 1))
    assert isinstance(told[-1], ShipmentUpdated)
    assert (told[-1].milestone, told[-1].status) == ("packed", "delivered")


def test_a_failed_attempt_is_followed_by_another() -> None:
    shipment = parcel()
    play(shipment, report("out_for_delivery", 1), report("failed", 2))
    assert shipment.status == "failed"
    play(shipment, report("out_for_delivery", 20), report("delivered", 21))
    assert shipment.status == "delivered"


def test_a_parcel_refused_at_the_door_is_not_tried_again() -> None:
    shipment = parcel()
    shipment.collect_amount = 2500
    play(shipment, report("out_for_delivery", 1), report("failed", 2))
    play(shipment, report("out_for_delivery", 20), report("delivered", 21))
    assert shipment.status == "failed"


def test_a_failed_attempt_reported_after_the_next_one_does_not_undo_it() -> None:
    shipment = parcel()
    play(shipment, report("out_for_delivery", 1), report("out_for_delivery", 20))
    play(shipment, report("failed", 2))
    assert shipment.status == "out_for_delivery"


def test_nothing_happens_to_a_parcel_that_was_kept_back() -> None:
    shipment = parcel()
    shipment.keep_back(NOON)
    with pytest.raises(ShipmentClosed):
        play(shipment, report("shipped"))


def test_open_parcels_are_counted_after_the_report() -> None:
    shipment = parcel()
    for milestone, others, expected in (("shipped", 1, 2), ("delivered", 1, 1), ("failed", 0, 0)):
        last = shipment.track(report(milestone), others)[-1]  # type: ignore[arg-type]
        assert isinstance(last, ShipmentUpdated)
        assert last.open_shipments == expected


@pytest.mark.parametrize(
    ("amount", "count", "expected"), [(590, 1, [590]), (100, 3, [34, 33, 33]), (0, 2, [0, 0])]
)
def test_shares_lose_no_minor_unit(amount: int, count: int, expected: list[int]) -> None:
    assert shares(amount, count) == expected
