"""Commands from orders to shipping."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chassis.ids import new_id
from contracts.address import Address
from contracts.inventory import Allocation
from contracts.money import Money
from contracts.shipping import CancelShipments, CreateShipments

PLACED = datetime(2026, 11, 20, 12, tzinfo=UTC)


def allocation(warehouse_id: UUID | None = None, **changes: Any) -> Allocation:
    fresh = {"line_id": new_id(), "variant_id": new_id(), "quantity": 2}
    return Allocation(warehouse_id=warehouse_id or new_id(), **{**fresh, **changes})


def create_command(method_id: UUID, **changes: Any) -> CreateShipments:
    address = Address(recipient_name="Ada", line1="1 Main St", city="Berlin", country="DE")
    fresh: dict[str, Any] = {
        "operation_id": new_id(),
        "order_id": new_id(),
        "order_number": "2026-000123",
        "customer_id": new_id(),
        "ship_to": address,
        "shipping_method_id": method_id,
        "allocations": [allocation()],
        "placed_at": PLACED,
        "shipping": Money(amount=590, currency="USD"),
    }
    return CreateShipments(**{**fresh, **changes})


def cancel_command(order_id: UUID) -> CancelShipments:
    return CancelShipments(operation_id=new_id(), order_id=order_id)
