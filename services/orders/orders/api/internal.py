"""What other services request of orders."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from chassis.auth import only_services
from chassis.db import Tx
from chassis.errors import refuses
from chassis.tokens import hash_of
from chassis.wire import View
from contracts.notifications import MailLink
from orders.api.orders import order_token
from orders.domain.order import OrderNotFound
from orders.settings import OrdersSettings
from orders.store import orders as store

router = APIRouter(prefix="/internal")


class OrderState(View):
    """Whether an order lives; `confirmed_at` stays when it is cancelled afterwards."""

    id: UUID
    status: str
    cart_id: UUID
    confirmed_at: datetime | None


@router.get("/orders/{order_id}", dependencies=[Depends(only_services("cart"))])
@refuses(OrderNotFound)
async def get_order_state(order_id: UUID, tx: Tx) -> OrderState:
    """Whether the order that locked a cart exists and lives."""
    order = await store.find_order(tx, order_id)
    if order is None:
        raise OrderNotFound
    return OrderState.model_validate(dict(order))


@router.post("/mail-links/{order_id}", dependencies=[Depends(only_services("notifications"))])
@refuses(OrderNotFound)
async def mail_link(order_id: UUID, tx: Tx, request: Request) -> MailLink:
    """The link of the mail that confirms an order; a guest's carries the order's token.

    A token derived after the secret was changed does not fit the order and stays out of the link.
    """
    settings: OrdersSettings = request.app.state.settings
    order = await store.find_order(tx, order_id)
    if order is None or order["confirmed_at"] is None:
        raise OrderNotFound
    link = f"{settings.public_url}/orders/{order_id}"
    token = order_token(settings.order_token_secret, order_id)
    is_guests = order["access_hash"] == hash_of(token)
    return MailLink(link=f"{link}?token={token}" if is_guests else link)
