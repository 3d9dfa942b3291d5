"""Parcels made and kept back at the word of orders."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis.ids import new_id, utcnow
from chassis.testing import Harness, model_differences
from contracts.identity import CustomerChanged
from contracts.money import Money
from contracts.shipping import (
    ShipmentAlreadySent,
    ShipmentImpossible,
    ShipmentsCancelled,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
)
from shipping.main import service

from .orders import PLACED, allocation, cancel, create


def test_the_migrations_make_what_the_models_say(template: str) -> None:
    assert model_differences(service, template) == []


async def hand_over(shipping: Harness[Any], staff: dict[str, str], shipment_id: UUID) -> None:
    path = f"/v1/admin/shipments/{shipment_id}/tracking-events"
    answer = await shipping.client.post(path, json={"type": "shipped"}, headers=staff)
    assert answer.status_code == 201, answer.text


async def test_an_order_becomes_one_parcel_per_seller_and_warehouse(
    shipping: Harness[Any], method_id: UUID
) -> None:
    north, south, seller = new_id(), new_id(), new_id()
    command = create(
        method_id,
        allocations=[
            allocation(north),
            allocation(south),
            allocation(north),
            allocation(north, seller_id=seller),
        ],
        lead_time_days=4,
        collect=Money(amount=100, currency="USD"),
    )
    await shipping.deliver(command)

    [created] = await shipping.published(ShipmentsCreated)
    contents = {(p.seller_id, p.warehouse_id): len(p.lines) for p in created.shipments}
    assert contents == {(None, north): 2, (None, south): 1, (seller, north): 1}
    rows = await shipping.sql("select * from shipments order by id")
    assert {row.id for row in rows} == {p.shipment_id for p in created.shipments}
    assert all(row.scheduled_for >= PLACED + timedelta(days=4) for row in rows)
    assert sum(row.amount for row in rows) == 590
    assert [row.collect_amount for row in rows] == [34, 33, 33]
    assert {row.status for row in rows} == {"pending"}


async def test_a_batch_of_orders_is_answered_one_by_one(
    shipping: Harness[Any], method_id: UUID
) -> None:
    first, second, wrong = create(method_id), create(method_id), create(new_id())
    await shipping.deliver(second, wrong, first, second)

    told = await shipping.published()
    assert [(type(each).__name__, each.order_id, each.sequence) for each in told[1:]] == [
        ("ShipmentsCreated", second.order_id, 1),
        ("ShipmentImpossible", wrong.order_id, 1),
        ("ShipmentsCreated", first.order_id, 1),
        ("ShipmentsCreated", second.order_id, 2),
    ]
    assert told[1].shipments == told[4].shipments
    assert len(await shipping.sql("select * from shipments")) == 2


async def test_a_repeat_is_answered_with_the_same_parcels(
    shipping: Harness[Any], method_id: UUID
) -> None:
    command = create(method_id, allocations=[allocation(), allocation()])
    await shipping.deliver(command)
    await shipping.deliver(command)

    first, second = await shipping.published(ShipmentsCreated)
    assert first.shipments == second.shipments
    assert (first.sequence, second.sequence) == (1, 2)


async def test_an_unknown_retired_or_paused_method_makes_it_impossible(
    shipping: Harness[Any], method_id: UUID
) -> None:
    unknown = create(new_id())
    await shipping.deliver(unknown)
    await shipping.sql("update shipping_methods set is_active = false")
    retired = create(method_id)
    await shipping.deliver(retired)
    await shipping.sql("update shipping_methods set is_active = true")
    await shipping.sql("update shipping_providers set status = 'inactive'")
    await shipping.deliver(create(method_id))

    told = await shipping.published(ShipmentImpossible)
    assert [each.reason for each in told] == [
        "unknown_method",
        "inactive_method",
        "inactive_method",
    ]
    assert [line.line_id for line in told[0].lines] == [unknown.allocations[0].line_id]
    assert await shipping.sql("select * from shipments") == []


async def test_after_a_refusal_the_same_operation_stays_refused_and_another_tries_anew(
    shipping: Harness[Any], method_id: UUID
) -> None:
    await shipping.sql("update shipping_methods set is_active = false")
    command = create(method_id)
    await shipping.deliver(command)
    await shipping.sql("update shipping_methods set is_active = true")
    await shipping.deliver(command)
    again = create(method_id, order_id=command.order_id)
    await shipping.deliver(again)

    told = await shipping.published(ShipmentImpossible, ShipmentsCreated)
    assert [(type(each).__name__, each.sequence) for each in told] == [
        ("ShipmentImpossible", 1),
        ("ShipmentImpossible", 2),
        ("ShipmentsCreated", 3),
    ]


async def test_a_command_that_comes_too_late_is_refused(
    shipping: Harness[Any], method_id: UUID
) -> None:
    await shipping.deliver(create(method_id, expires_at=utcnow() - timedelta(seconds=1)))
    [impossible] = await shipping.published(ShipmentImpossible)
    assert impossible.reason == "expired"


async def test_a_cancel_that_overtakes_the_parcels_lets_none_be_made(
    shipping: Harness[Any], method_id: UUID
) -> None:
    command = create(method_id)
    await shipping.deliver(cancel(command.order_id))
    await shipping.deliver(command)
    await shipping.deliver(cancel(command.order_id))

    told = await shipping.published(ShipmentsCancelled, ShipmentImpossible, ShipmentsCreated)
    assert [(type(each).__name__, each.sequence) for each in told] == [
        ("ShipmentsCancelled", 1),
        ("ShipmentImpossible", 2),
        ("ShipmentsCancelled", 3),
    ]
    assert told[1].reason == "cancelled"
    assert await shipping.sql("select * from shipments") == []


async def test_parcels_not_handed_over_are_kept_back(
    shipping: Harness[Any], method_id: UUID
) -> None:
    command = create(method_id, allocations=[allocation(), allocation()])
    await shipping.deliver(command)
    order = cancel(command.order_id)
    await shipping.deliver(order)
    await shipping.deliver(order)
    await shipping.deliver(command)

    told = await shipping.published(ShipmentsCancelled, ShipmentImpossible)
    assert [each.sequence for each in told] == [2, 3, 4]
    assert told[2].reason == "cancelled"
    rows = await shipping.sql("select status, version from shipments")
    assert rows == [("cancelled", 2), ("cancelled", 2)]


async def test_a_cancel_between_two_parcels_keeps_back_the_second(
    shipping: Harness[Any], method_id: UUID, staff: dict[str, str]
) -> None:
    command = create(method_id, allocations=[allocation(), allocation()])
    await shipping.deliver(command)
    [created] = await shipping.published(ShipmentsCreated)
    sent, kept = created.shipments
    await hand_over(shipping, staff, sent.shipment_id)
    order = cancel(command.order_id)
    await shipping.deliver(order)
    await shipping.deliver(order)

    first, second = await shipping.published(ShipmentsPartlyCancelled)
    assert first.unsent == second.unsent == kept.lines
    rows = await shipping.sql("select id, status from shipments order by id")
    assert rows == [(sent.shipment_id, "in_transit"), (kept.shipment_id, "cancelled")]


async def test_a_cancel_after_the_last_parcel_is_too_late(
    shipping: Harness[Any], method_id: UUID, staff: dict[str, str]
) -> None:
    command = create(method_id)
    await shipping.deliver(command)
    [created] = await shipping.published(ShipmentsCreated)
    await hand_over(shipping, staff, created.shipments[0].shipment_id)
    await shipping.deliver(cancel(command.order_id))

    assert len(await shipping.published(ShipmentAlreadySent)) == 1


async def test_parcels_go_along_with_a_customer_who_was_another(
    shipping: Harness[Any], method_id: UUID
) -> None:
    before, after = new_id(), new_id()
    await shipping.deliver(create(method_id, customer_id=before), create(method_id))
    event = CustomerChanged(customer_id=before, status="inactive", merged_into=after)
    await shipping.deliver(event)
    rows = await shipping.sql("select customer_id from shipments")
    assert after in {row.customer_id for row in rows}
    assert before not in {row.customer_id for row in rows}
