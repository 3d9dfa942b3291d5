"""Every route that returns money needs `orders:refund`."""

from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from contracts.inventory import StockReserved
from contracts.money import Money
from contracts.payments import (
    CancelPayment,
    PaymentAuthorized,
    PaymentCaptured,
    RefundPayment,
)
from contracts.shipping import CancelShipments, ShipmentImpossible

SUPPORT = ("orders:read", "orders:write", "ops:write")
USD = Money(amount=2500, currency="USD")
WAYS = {
    "cancellation": ("/v1/admin/orders/{id}/cancellation", {}),
    "compensation": ("/v1/admin/sagas/{id}/compensate", {"reason": "the test wants it"}),
    "review": ("/v1/admin/orders/{id}/review", {"decision": "refund", "amount": 100}),
}


async def order_in(orders: Any, guest: Any, *events: type) -> UUID:
    """Place an order and apply these events to its saga."""
    order_id = UUID((await guest.check_out()).json()["id"])
    facts: dict[type, dict[str, Any]] = {
        StockReserved: {"allocations": []},
        PaymentAuthorized: {"payment_id": new_id(), "method": "card", "authorized": USD},
        PaymentCaptured: {"payment_id": new_id(), "method": "card", "captured": USD},
        ShipmentImpossible: {"reason": "no carrier", "lines": []},
    }
    for kind in events:
        await orders.deliver(kind(order_id=order_id, **facts[kind]))
    await orders.clear_outbox()
    return order_id


async def go(orders: Any, way: str, order_id: UUID, *permissions: str) -> Any:
    path, body = WAYS[way]
    headers = orders.signed_in(permissions=permissions)
    headers["Idempotency-Key"] = new_id().hex
    return await orders.client.post(path.format(id=order_id), json=body, headers=headers)


@pytest.mark.parametrize("way", WAYS)
async def test_no_route_returns_money_without_the_permission(
    orders: Any, guest: Any, way: str
) -> None:
    paid = (StockReserved, PaymentCaptured, ShipmentImpossible)
    order_id = await order_in(orders, guest, *paid)

    refused = await go(orders, way, order_id, *SUPPORT)
    assert (refused.status_code, refused.json()["code"]) == (403, "refund_not_permitted")
    assert await orders.published() == []
    assert await orders.sql("select action from audit_entries") == []

    allowed = await go(orders, way, order_id, *SUPPORT, "orders:refund")
    assert allowed.status_code == 202, allowed.text
    assert await orders.published(RefundPayment, CancelShipments) != []
    [(action,)] = await orders.sql("select action from audit_entries")
    assert action in {"order.cancel", "order.review", "saga.compensate"}


@pytest.mark.parametrize("way", ["cancellation", "compensation"])
async def test_an_order_that_is_not_paid_is_cancelled_without_it(
    orders: Any, guest: Any, way: str
) -> None:
    order_id = await order_in(orders, guest, StockReserved)
    assert (await go(orders, way, order_id, *SUPPORT)).status_code == 202
    assert [type(message) for message in await orders.published()] == [CancelPayment]


@pytest.mark.parametrize("permissions", [("orders:read",), (*SUPPORT, "orders:refund")])
async def test_staff_cannot_use_the_customers_cancellation_route(
    orders: Any, guest: Any, permissions: tuple[str, ...]
) -> None:
    order_id = await order_in(orders, guest, StockReserved, PaymentCaptured)
    headers = {**orders.signed_in(permissions=permissions), "Idempotency-Key": "k"}
    url = f"/v1/orders/{order_id}"
    assert (await orders.client.get(url, headers=headers)).status_code == 200
    refused = await orders.client.post(f"{url}/cancellation", json={}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (404, "order_not_found")
    assert await orders.published() == []
