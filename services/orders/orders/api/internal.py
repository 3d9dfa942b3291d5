"""What orders tells other services."""

from uuid import UUID

from fastapi import APIRouter, Depends

from chassis.auth import only_services
from chassis.db import Tx
from chassis.wire import View
from orders.domain.refusals import OrderNotFound
from orders.store import orders as store

router = APIRouter(prefix="/internal/orders")


class OrderState(View):
    """Whether an order lives."""

    id: UUID
    status: str
    cart_id: UUID


@router.get("/{order_id}", dependencies=[Depends(only_services("cart"))])
async def get_order_state(order_id: UUID, tx: Tx) -> OrderState:
    """Whether the order that locked a cart exists and lives."""
    order = await store.find_order(tx, order_id)
    if order is None:
        raise OrderNotFound
    return OrderState.model_validate(order)
