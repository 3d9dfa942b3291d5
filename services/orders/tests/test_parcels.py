"""The events of parcels end in the same state in whatever order they arrive."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id, utcnow
from contracts.inventory import StockReserved
from contracts.message import Event
from contracts.money import Money
from contracts.notifications import Notify
from contracts.orders import OrderDelivered, OrderShipped
from contracts.payments import (
    CancelPayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentCaptured,
    RefundPayment,
)
from contracts.shipping import (
    Parcel,
    ShipmentHandedOver,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
    ShipmentUpdated,
    ShippedLine,
)

SENT_BY_PARCELS = (OrderShipped, OrderDelivered, CapturePayment, CancelPayment, RefundPayment)


@dataclass
class Journey:
    """An order that is confirmed and has two parcels, of one piece each."""

    order_id: UUID
    line: ShippedLine
    parcels: tuple[UUID, UUID] = field(default_factory=lambda: (new_id(), new_id()))

    def created(self) -> Event:
        made = [
            Parcel(shipment_id=parcel, warehouse_id=new_id(), lines=[self.line])
            for parcel in self.parcels
        ]
        return ShipmentsCreated(order_id=self.order_id, shipments=made).with_sequence(1)

    def left(self, place: int) -> Event:
        return ShipmentHandedOver(
            shipment_id=self.parcels[place],
            order_id=self.order_id,
            warehouse_id=new_id(),
            lines=[self.line],
            handed_over_at=utcnow() - timedelta(hours=1),
        ).with_sequence(2)

    def moved(self, place: int, status: Any, number: int, open_parcels: int) -> Event:
        return ShipmentUpdated(
            shipment_id=self.parcels[place],
            order_id=self.order_id,
            status=status,
            milestone="shipped" if status == "in_transit" else status,
            occurred_at=utcnow() - timedelta(minutes=5),
            open_shipments=open_parcels,
        ).with_sequence(number)

    def end(self, place: int, status: str, open_parcels: int) -> list[Event]:
        """A parcel's whole way to its end."""
        return [
            self.moved(place, "packed", 1, 2),
            self.left(place),
            self.moved(place, "in_transit", 3, open_parcels + (status == "delivered")),
            self.moved(place, status, 4, open_parcels),
        ]

    def both(self, *statuses: str) -> list[Event]:
        delivered = [status == "delivered" for status in statuses]
        first = self.end(0, statuses[0], 2 - delivered[0])
        return [self.created(), *first, *self.end(1, statuses[1], 2 - sum(delivered))]

    def one_recalled(self) -> list[Event]:
        recalled = ShipmentsPartlyCancelled(order_id=self.order_id, unsent=[self.line])
        packed = self.moved(1, "packed", 1, 2)
        first = self.end(0, "delivered", 0)
        return [self.created(), packed, *first[:2], recalled.with_sequence(2), *first[2:]]


async def begin(orders: Any, guest: Any, method: str, *, cancelled: bool) -> Journey:
    guest.cart_id = new_id()
    payment = {"method": method} if method == "cod" else {"method": method, "token": "tok_ok"}
    answer = await guest.check_out(key=new_id().hex, payment=payment)
    order_id = UUID(answer.json()["id"])
    await orders.deliver(StockReserved(order_id=order_id, allocations=[]))
    if method == "cod":
        promise = {"method": "cod", "capture": "on_delivery", "payment_id": new_id()}
        await orders.deliver(PaymentAuthorized(order_id=order_id, **promise))
    else:
        money = Money(amount=2500, currency="USD")
        await orders.deliver(
            PaymentCaptured(order_id=order_id, payment_id=new_id(), method="card", captured=money)
        )
    if cancelled:
        staff = orders.signed_in(permissions=("orders:read", "orders:write", "orders:refund"))
        answer = await orders.client.post(
            f"/v1/admin/orders/{order_id}/cancellation",
            json={},
            headers={**staff, "Idempotency-Key": new_id().hex},
        )
        assert answer.status_code == 202, answer.text
    [line] = await orders.sql(
        "select id, variant_id from order_lines where order_id = :id", id=order_id
    )
    await orders.clear_outbox()
    return Journey(order_id, ShippedLine(line_id=line.id, variant_id=line.variant_id, quantity=1))


async def end_of(orders: Any, journey: Journey) -> Any:
    """The state of the order and its parcels, and what was sent."""
    [order] = await orders.sql(
        "select o.status, o.payment_status, s.stage, l.quantity_shipped "
        "from orders o join checkout_sagas s on s.order_id = o.id "
        "join order_lines l on l.order_id = o.id where o.id = :id",
        id=journey.order_id,
    )
    parcels = await orders.sql(
        "select shipment_id, status, handed_over from order_shipments where order_id = :id",
        id=journey.order_id,
    )
    by_parcel = {row.shipment_id: (row.status, row.handed_over) for row in parcels}
    sent = Counter(type(message).__name__ for message in await orders.published(*SENT_BY_PARCELS))
    return tuple(order), [by_parcel[parcel] for parcel in journey.parcels], sent


def orders_of(count: int) -> Iterator[list[int]]:
    """In sequence, reversed, each delayed to the end, and some at random."""
    places = list(range(count))
    yield places
    yield places[::-1]
    for late in places[:-1]:
        yield [place for place in places if place != late] + [late]
    chance = random.Random(20261130)
    for _ in range(6):
        yield chance.sample(places, count)


Story = Callable[[Journey], Sequence[Event]]
STORIES: dict[str, tuple[str, bool, Story]] = {
    "delivered": ("card", False, lambda journey: journey.both("delivered", "delivered")),
    "cash paid": ("cod", False, lambda journey: journey.both("delivered", "delivered")),
    "cash refused": ("cod", False, lambda journey: journey.both("failed", "failed")),
    "cash half refused": ("cod", False, lambda journey: journey.both("delivered", "failed")),
    "one recalled": ("card", True, lambda journey: journey.one_recalled()),
}
ENDS = {
    "delivered": ("delivered", "paid", "completed", 2),
    "cash paid": ("delivered", "authorized", "completed", 2),
    "cash refused": ("shipped", "authorized", "cancelling_payment", 2),
    "cash half refused": ("shipped", "authorized", "needs_review", 2),
    "one recalled": ("delivered", "paid", "completed", 1),
}


@pytest.mark.parametrize("story", STORIES)
async def test_the_end_is_the_same_in_every_order(orders: Any, guest: Any, story: str) -> None:
    method, cancelled, script = STORIES[story]
    expected = None
    for order in orders_of(len(script(Journey(new_id(), PIECE)))):
        journey = await begin(orders, guest, method, cancelled=cancelled)
        events = script(journey)
        for place in order:
            await orders.deliver(events[place])
        end = await end_of(orders, journey)
        expected = expected or end
        assert end == expected, order
    assert expected is not None
    assert expected[0] == ENDS[story]


PIECE = ShippedLine(line_id=new_id(), variant_id=new_id(), quantity=1)


async def test_one_delivered_parcel_of_two_does_not_deliver_the_order(
    orders: Any, guest: Any
) -> None:
    # ShipmentsCreated is late: orders knows of one parcel alone.
    journey = await begin(orders, guest, "cod", cancelled=False)
    for event in journey.end(0, "delivered", 1):
        await orders.deliver(event)
    end = await end_of_first(orders, journey)
    assert end == ("shipped", "fulfilling")
    assert await orders.published(OrderDelivered, CapturePayment) == []
    [mail] = [each for each in await orders.published(Notify) if each.type == "order_delivered"]
    assert mail.facts["open_parcels"] == 1

    for event in journey.end(1, "delivered", 0):
        await orders.deliver(event)
    assert (
        len(await orders.published(OrderDelivered))
        == len(await orders.published(CapturePayment))
        == 1
    )
    last = [each for each in await orders.published(Notify) if each.type == "order_delivered"][-1]
    assert "open_parcels" not in last.facts


async def end_of_first(orders: Any, journey: Journey) -> tuple[str, str]:
    [row] = await orders.sql(
        "select o.status, s.stage from orders o join checkout_sagas s on s.order_id = o.id "
        "where o.id = :id",
        id=journey.order_id,
    )
    return str(row.status), str(row.stage)
