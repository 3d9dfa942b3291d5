"""Commands from orders create and cancel shipments."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis.ids import new_id, utcnow
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
from testkit.harness import Harness, model_differences

from .commands import PLACED, allocation, cancel_command, create_command


def test_the_migrations_match_the_models(template: str) -> None:
    assert model_differences(service, template) == []


async def hand_over(shipping: Harness[Any], staff: dict[str, str], shipment_id: UUID) -> None:
    path = f"/v1/admin/shipments/{shipment_id}/tracking-events"
    answer = await shipping.client.post(path, json={"type": "shipped"}, headers=staff)
    assert answer.status_code == 201, answer.text


async def test_an_order_becomes_one_shipment_per_seller_and_warehouse(
    shipping: Harness[Any], method_id: UUID
) -> None:
    north, south, seller = new_id(), new_id(), new_id()
    command = create_command(
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


async def test_each_order_of_a_batch_gets_its_answer(
    shipping: Harness[Any], method_id: UUID
) -> None:
    first, second, wrong = (
        create_command(method_id),
        create_command(method_id),
        create_command(new_id()),
    )
    await shipping.deliver(second, wrong, first, second)

    events = await shipping.published()
    assert [(type(each).__name__, each.order_id, each.sequence) for each in events[1:]] == [
        ("ShipmentsCreated", second.order_id, 1),
        ("ShipmentImpossible", wrong.order_id, 1),
        ("ShipmentsCreated", first.order_id, 1),
        ("ShipmentsCreated", second.order_id, 2),
    ]
    assert events[1].shipments == events[4].shipments
    assert len(await shipping.sql("select * from shipments")) == 2


async def test_a_repeated_command_gets_the_same_shipments(
    shipping: Harness[Any], method_id: UUID
) -> None:
    command = create_command(method_id, allocations=[allocation(), allocation()])
    await shipping.deliver(command)
    await shipping.deliver(command)

    first, second = await shipping.published(ShipmentsCreated)
    assert first.shipments == second.shipments
    assert (first.sequence, second.sequence) == (1, 2)


async def test_an_unknown_or_inactive_method_is_rejected(
    shipping: Harness[Any], method_id: UUID
) -> None:
    unknown = create_command(new_id())
    await shipping.deliver(unknown)
    await shipping.sql("update shipping_methods set is_active = false")
    retired = create_command(method_id)
    await shipping.deliver(retired)
    await shipping.sql("update shipping_methods set is_active = true")
    await shipping.sql("update shipping_providers set status = 'inactive'")
    await shipping.deliver(create_command(method_id))

    events = await shipping.published(ShipmentImpossible)
    assert [each.reason for each in events] == [
        "unknown_method",
        "inactive_method",
        "inactive_method",
    ]
    assert [line.line_id for line in events[0].lines] == [unknown.allocations[0].line_id]
    assert await shipping.sql("select * from shipments") == []


async def test_a_rejected_operation_stays_rejected_and_a_new_one_is_decided_again(
    shipping: Harness[Any], method_id: UUID
) -> None:
    await shipping.sql("update shipping_methods set is_active = false")
    command = create_command(method_id)
    await shipping.deliver(command)
    await shipping.sql("update shipping_methods set is_active = true")
    await shipping.deliver(command)
    again = create_command(method_id, order_id=command.order_id)
    await shipping.deliver(again)

    events = await shipping.published(ShipmentImpossible, ShipmentsCreated)
    assert [(type(each).__name__, each.sequence) for each in events] == [
        ("ShipmentImpossible", 1),
        ("ShipmentImpossible", 2),
        ("ShipmentsCreated", 3),
    ]


async def test_an_expired_command_is_rejected(shipping: Harness[Any], method_id: UUID) -> None:
    await shipping.deliver(create_command(method_id, expires_at=utcnow() - timedelta(seconds=1)))
    [impossible] = await shipping.published(ShipmentImpossible)
    assert impossible.reason == "expired"


async def test_a_cancellation_before_the_creation_leaves_a_tombstone(
    shipping: Harness[Any], method_id: UUID
) -> None:
    command = create_command(method_id)
    await shipping.deliver(cancel_command(command.order_id))
    await shipping.deliver(command)
    await shipping.deliver(cancel_command(command.order_id))

    events = await shipping.published(ShipmentsCancelled, ShipmentImpossible, ShipmentsCreated)
    assert [(type(each).__name__, each.sequence) for each in events] == [
        ("ShipmentsCancelled", 1),
        ("ShipmentImpossible", 2),
        ("ShipmentsCancelled", 3),
    ]
    assert events[1].reason == "cancelled"
    assert await shipping.sql("select * from shipments") == []


async def test_shipments_not_handed_over_are_cancelled(
    shipping: Harness[Any], method_id: UUID
) -> None:
    command = create_command(method_id, allocations=[allocation(), allocation()])
    await shipping.deliver(command)
    cancellation = cancel_command(command.order_id)
    await shipping.deliver(cancellation)
    await shipping.deliver(cancellation)
    await shipping.deliver(command)

    events = await shipping.published(ShipmentsCancelled, ShipmentImpossible)
    assert [each.sequence for each in events] == [2, 3, 4]
    assert events[2].reason == "cancelled"
    rows = await shipping.sql("select status, version from shipments")
    assert rows == [("cancelled", 2), ("cancelled", 2)]


async def test_a_cancellation_after_the_first_handover_cancels_the_other_shipment(
    shipping: Harness[Any], method_id: UUID, staff: dict[str, str]
) -> None:
    command = create_command(method_id, allocations=[allocation(), allocation()])
    await shipping.deliver(command)
    [created] = await shipping.published(ShipmentsCreated)
    sent, unsent = created.shipments
    await hand_over(shipping, staff, sent.shipment_id)
    cancellation = cancel_command(command.order_id)
    await shipping.deliver(cancellation)
    await shipping.deliver(cancellation)

    first, second = await shipping.published(ShipmentsPartlyCancelled)
    assert first.unsent == second.unsent == unsent.lines
    rows = await shipping.sql("select id, status from shipments order by id")
    assert rows == [(sent.shipment_id, "in_transit"), (unsent.shipment_id, "cancelled")]


async def test_a_cancellation_after_the_last_handover_is_too_late(
    shipping: Harness[Any], method_id: UUID, staff: dict[str, str]
) -> None:
    command = create_command(method_id)
    await shipping.deliver(command)
    [created] = await shipping.published(ShipmentsCreated)
    await hand_over(shipping, staff, created.shipments[0].shipment_id)
    await shipping.deliver(cancel_command(command.order_id))

    assert len(await shipping.published(ShipmentAlreadySent)) == 1


async def test_shipments_of_a_merged_customer_are_reassigned(
    shipping: Harness[Any], method_id: UUID
) -> None:
    before, after = new_id(), new_id()
    await shipping.deliver(create_command(method_id, customer_id=before), create_command(method_id))
    event = CustomerChanged(customer_id=before, status="inactive", merged_into=after)
    await shipping.deliver(event)
    rows = await shipping.sql("select customer_id from shipments")
    assert after in {row.customer_id for row in rows}
    assert before not in {row.customer_id for row in rows}
