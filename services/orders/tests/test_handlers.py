"""What orders does when replies and parcels arrive, on a real database."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan

from chassis import tracing
from chassis.context import remote_span, trace_id_of, traceparent_of
from chassis.ids import new_id, utcnow
from contracts.identity import CustomerChanged
from contracts.inventory import ReleaseStock, StockRejected, StockReleased, StockReserved
from contracts.money import Money
from contracts.notifications import Notify
from contracts.orders import (
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderPaymentChanged,
    OrderShipped,
)
from contracts.payments import (
    CancelPayment,
    CapturePayment,
    CollectPayment,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentRefunded,
)
from contracts.shipping import (
    CreateShipments,
    Parcel,
    ShipmentHandedOver,
    ShipmentsCreated,
    ShipmentUpdated,
    ShippedLine,
)
from orders.handlers import OrderUnknown
from orders.jobs import sweep_deadlines
from orders.saga.engine import Deadlines

USD = Money(amount=2500, currency="USD")


async def sweep(orders: Any) -> int:
    """Apply the deadlines that passed; returns how many."""
    return await sweep_deadlines(orders.running.database, Deadlines())


async def placed(guest: Any, key: str = "k", **changes: Any) -> UUID:
    guest.cart_id = new_id()
    answer = await guest.check_out(key=key, **changes)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


def captured(order_id: UUID) -> PaymentCaptured:
    return PaymentCaptured(order_id=order_id, payment_id=new_id(), method="card", captured=USD)


async def stage(orders: Any, order_id: UUID) -> str:
    (row,) = await orders.sql("select stage from checkout_sagas where order_id = :id", id=order_id)
    return str(row.stage)


async def test_a_batch_of_replies_moves_every_order(orders: Any, guest: Any) -> None:
    ids = [await placed(guest, key=f"k{n}") for n in range(5)]
    await orders.clear_outbox()
    await orders.deliver(*(StockReserved(order_id=i, allocations=[]) for i in ids))

    commands = await orders.published(CollectPayment)
    assert {command.order_id for command in commands} == set(ids)
    assert all([await stage(orders, i) == "collecting" for i in ids])


async def test_a_duplicate_reply_has_no_effect(orders: Any, guest: Any) -> None:
    order_id = await placed(guest)
    for reply in (StockReserved(order_id=order_id, allocations=[]), captured(order_id)):
        await orders.deliver(reply)
        await orders.deliver(reply)
    assert len(await orders.published(CollectPayment)) == 1
    assert len(await orders.published(OrderConfirmed)) == 1
    assert len(await orders.published(CreateShipments)) == 1


async def test_a_reply_to_an_unknown_order_raises(orders: Any) -> None:
    with pytest.raises(OrderUnknown):
        await orders.deliver(StockReserved(order_id=new_id(), allocations=[]))


async def test_an_expired_reservation_times_out_the_order(orders: Any, guest: Any) -> None:
    """Inventory received the command after its deadline: a queue was long, or a clock is wrong."""
    order_id = await placed(guest)
    await orders.deliver(StockRejected(order_id=order_id, reason="expired"))
    (event,) = await orders.published(OrderCancelled)
    assert event.reason == "timed_out"


async def test_a_rejected_reservation_cancels_with_one_mail(orders: Any, guest: Any) -> None:
    order_id = await placed(guest)
    await orders.deliver(StockRejected(order_id=order_id, reason="insufficient"))
    (event,) = await orders.published(OrderCancelled)
    assert event.reason == "out_of_stock"
    assert [n.type for n in await orders.published(Notify)] == ["order_cancelled"]
    (row,) = await orders.sql("select status, cancellation_reason from orders")
    assert tuple(row) == ("cancelled", "out_of_stock")


async def test_a_passed_deadline_releases_the_order(orders: Any, guest: Any) -> None:
    order_id = await placed(guest)
    assert await sweep(orders) == 0
    await orders.sql("update checkout_sagas set deadline_at = now() - interval '1 s'")
    assert await sweep(orders) == 1
    assert len(await orders.published(ReleaseStock)) == 1
    assert await sweep(orders) == 0

    await orders.deliver(StockReleased(order_id=order_id))
    assert await stage(orders, order_id) == "cancelled"
    (row,) = await orders.sql("select cancellation_reason from orders")
    assert row.cancellation_reason == "timed_out"


async def test_a_saga_that_raises_does_not_block_other_deadlines(orders: Any, guest: Any) -> None:
    ids = [await placed(guest, key=f"k{n}") for n in range(3)]
    # Its stage repeats CreateShipments, and what that needs is missing.
    await orders.sql(
        "update checkout_sagas set stage = 'fulfilling' where order_id = :id", id=ids[0]
    )
    await orders.sql("update checkout_sagas set deadline_at = now() - interval '1 s'")
    await orders.sql(
        "update checkout_sagas set deadline_at = now() - interval '1 h' where order_id = :id",
        id=ids[0],
    )
    assert await sweep(orders) == 2
    assert {command.order_id for command in await orders.published(ReleaseStock)} == set(ids[1:])
    assert [await stage(orders, i) for i in ids] == ["fulfilling", "releasing", "releasing"]
    # It stays overdue, so that the alert about stuck checkouts fires, and is not tried at once.
    assert await sweep(orders) == 0
    [row] = await orders.sql("select order_id from checkout_sagas where deadline_at < now()")
    assert row.order_id == ids[0]
    page = (await orders.client.get("/metrics")).text
    assert 'cartwright_sweep_failures_total{sweep="deadlines"}' in page


async def test_messages_sent_by_a_deadline_continue_the_trace_of_the_checkout(
    orders: Any, guest: Any
) -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace = "0af7651916cd43dd8448eb211c80319c"
    orders.client.headers["traceparent"] = f"00-{trace}-b7ad6b7169203331-01"
    order_id = await placed(guest)
    del orders.client.headers["traceparent"]
    await orders.sql("update checkout_sagas set deadline_at = now() - interval '1 s'")
    tracing.tracer.set(provider.get_tracer("tests"))
    try:
        assert await sweep(orders) == 1
    finally:
        tracing.tracer.set(tracing.UNRECORDED)

    [passed] = exporter.get_finished_spans()
    [placed_in] = await orders.sql("select facts->>'traceparent' from checkout_sagas")
    assert passed.name == "deadline passed"
    assert passed.parent == remote_span(placed_in[0]).get_span_context()
    assert passed.attributes == {"cartwright.order": str(order_id)}
    traces = await orders.sql("select headers->>'cloudEvents:traceparent' from outbox order by seq")
    assert traces[-1][0] == traceparent_of(NonRecordingSpan(passed.context))
    assert {trace_id_of(each[0]) for each in traces} == {trace}
    logged = await orders.sql("select heard, trace_id from saga_log order by at")
    assert [tuple(row) for row in logged] == [("Placed", trace), ("DeadlinePassed", trace)]


async def fulfilled(orders: Any, guest: Any, **changes: Any) -> tuple[UUID, list[UUID], UUID]:
    order_id = await placed(guest, **changes)
    await orders.deliver(StockReserved(order_id=order_id, allocations=[]))
    if changes.get("payment", {}).get("method") == "cod":
        promise = PaymentAuthorized(
            order_id=order_id, payment_id=new_id(), method="cod", capture="on_delivery"
        )
        await orders.deliver(promise)
    else:
        await orders.deliver(captured(order_id))
    (line,) = await orders.sql(
        "select id, variant_id from order_lines where order_id = :id", id=order_id
    )
    part = ShippedLine(line_id=line.id, variant_id=line.variant_id, quantity=1)
    parcels = [Parcel(shipment_id=new_id(), warehouse_id=new_id(), lines=[part]) for _ in range(2)]
    await orders.deliver(ShipmentsCreated(order_id=order_id, shipments=parcels))
    await orders.clear_outbox()
    return order_id, [p.shipment_id for p in parcels], line.id


def hand_over(order_id: UUID, shipment_id: UUID, line_id: UUID) -> ShipmentHandedOver:
    part = ShippedLine(line_id=line_id, variant_id=new_id(), quantity=1)
    return ShipmentHandedOver(
        shipment_id=shipment_id,
        order_id=order_id,
        warehouse_id=new_id(),
        lines=[part],
        handed_over_at=utcnow(),
    )


def update(
    order_id: UUID, shipment_id: UUID, status: str, milestone: str, number: int
) -> ShipmentUpdated:
    return ShipmentUpdated(
        shipment_id=shipment_id,
        order_id=order_id,
        status=status,
        milestone=milestone,
        tracking_number="T1",
        carrier="Post",
        occurred_at=utcnow() - timedelta(minutes=5),
        open_shipments=0,
    ).with_sequence(number)


async def test_parcels_drive_the_order_to_delivered(orders: Any, guest: Any) -> None:
    order_id, parcels, line_id = await fulfilled(orders, guest)
    for number, parcel in enumerate(parcels):
        await orders.deliver(hand_over(order_id, parcel, line_id))
        await orders.deliver(hand_over(order_id, parcel, line_id))
        await orders.deliver(update(order_id, parcel, "in_transit", "shipped", 1))
        assert len(await orders.published(OrderShipped)) == 1
        await orders.deliver(update(order_id, parcel, "delivered", "delivered", 3))
        await orders.deliver(update(order_id, parcel, "in_transit", "in_transit", 2))
        assert len(await orders.published(OrderDelivered)) == number
    (row,) = await orders.sql("select status from orders")
    assert row.status == "delivered"
    (line,) = await orders.sql("select quantity_shipped from order_lines")
    assert line.quantity_shipped == 2
    mails = [n.type for n in await orders.published(Notify)]
    assert mails == ["order_shipped", "order_delivered"] * 2


async def test_cash_is_captured_when_all_parcels_have_arrived(orders: Any, guest: Any) -> None:
    order_id, parcels, line_id = await fulfilled(orders, guest, payment={"method": "cod"})
    for parcel in parcels:
        await orders.deliver(hand_over(order_id, parcel, line_id))
        await orders.deliver(update(order_id, parcel, "delivered", "delivered", 2))
    assert len(await orders.published(CapturePayment)) == 1
    await orders.deliver(
        PaymentCaptured(order_id=order_id, payment_id=new_id(), method="cod", captured=USD)
    )
    (event,) = await orders.published(OrderPaymentChanged)
    assert event.payment_status == "paid"


async def test_cash_refused_at_the_door_cancels_the_payment(orders: Any, guest: Any) -> None:
    order_id, parcels, line_id = await fulfilled(orders, guest, payment={"method": "cod"})
    for parcel in parcels:
        await orders.deliver(hand_over(order_id, parcel, line_id))
        await orders.deliver(update(order_id, parcel, "failed", "failed", 2))
    assert len(await orders.published(CancelPayment)) == 1
    assert await stage(orders, order_id) == "cancelling_payment"


async def test_cash_half_refused_waits_for_staff(orders: Any, guest: Any) -> None:
    order_id, parcels, line_id = await fulfilled(orders, guest, payment={"method": "cod"})
    for parcel, ending in zip(parcels, ("delivered", "failed"), strict=True):
        await orders.deliver(hand_over(order_id, parcel, line_id))
        await orders.deliver(update(order_id, parcel, ending, ending, 2))
    assert await orders.published(CapturePayment, CancelPayment) == []
    assert await stage(orders, order_id) == "needs_review"


async def test_a_handed_over_order_cannot_be_cancelled(orders: Any, guest: Any) -> None:
    order_id, parcels, line_id = await fulfilled(orders, guest)
    await orders.deliver(hand_over(order_id, parcels[0], line_id))
    staff = orders.signed_in(permissions=("orders:read", "orders:write"))
    answer = await orders.client.post(
        f"/v1/admin/orders/{order_id}/cancellation",
        json={},
        headers={**staff, "Idempotency-Key": "c"},
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "too_late_to_cancel")


async def test_a_staff_refund_shows_on_the_order(orders: Any, guest: Any) -> None:
    order_id, _, _ = await fulfilled(orders, guest)
    part = Money(amount=1000, currency="USD")
    await orders.deliver(
        PaymentRefunded(order_id=order_id, payment_id=new_id(), refunded=part, refunded_total=part)
    )
    (event,) = await orders.published(OrderPaymentChanged)
    assert event.payment_status == "partially_refunded"
    assert [n.type for n in await orders.published(Notify)] == ["refund"]


async def test_a_review_is_refused_when_there_is_nothing_to_review(orders: Any, guest: Any) -> None:
    order_id, _, _ = await fulfilled(orders, guest)
    staff = orders.signed_in(permissions=("orders:read", "orders:write"))
    answer = await orders.client.post(
        f"/v1/admin/orders/{order_id}/review",
        json={"decision": "retry"},
        headers={**staff, "Idempotency-Key": "c"},
    )
    assert answer.json()["code"] == "nothing_to_review"


async def test_orders_move_to_the_customer_merged_into(orders: Any) -> None:
    before, after = new_id(), new_id()
    body = {"cart_id": str(new_id()), "payment": {"method": "cod"}}
    headers = {**orders.signed_in(customer_id=before), "Idempotency-Key": "k"}
    order = (await orders.client.post("/v1/orders", json=body, headers=headers)).json()
    changed = CustomerChanged(customer_id=before, status="inactive", merged_into=after)
    await orders.deliver(changed)
    url = f"/v1/orders/{order['id']}"
    seen = await orders.client.get(url, headers=orders.signed_in(customer_id=after))
    assert seen.status_code == 200
    assert (await orders.client.get(url, headers=headers)).status_code == 404
