"""Routes by which a customer, a guest or staff reads the payments of an order."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response

from chassis import etag
from chassis.auth import MaybeCaller
from chassis.db import Tx
from chassis.errors import Unauthenticated
from chassis.pages import Page
from chassis.tokens import hash_of
from payments.api.views import PaymentView
from payments.store import reading
from payments.store.reading import Reader

router = APIRouter(prefix="/v1/payments")


async def _reader(
    caller: MaybeCaller,
    order_token: Annotated[
        str | None,
        Header(alias="X-Order-Token", max_length=200, description="a guest's order token"),
    ] = None,
) -> Reader:
    """Who asks: a customer, a guest with the order's token, or staff."""
    if caller is None and order_token is None:
        raise Unauthenticated("Sign in, or send the order's token as X-Order-Token.")
    return Reader(
        customer_id=caller.customer_id if caller else None,
        access_hash=hash_of(order_token) if order_token else None,
        sees_all=caller is not None and caller.may("payments:read"),
    )


Reading = Annotated[Reader, Depends(_reader)]


@router.get("")
async def list_payments(order_id: UUID, reader: Reading, tx: Tx) -> Page[PaymentView]:
    """The payments of one order, newest first."""
    found = await reading.list_of_order(tx, order_id, reader)
    return Page(items=[PaymentView.of(payment) for payment in found])


@router.get("/{payment_id}")
async def get_payment(payment_id: UUID, reader: Reading, tx: Tx, response: Response) -> PaymentView:
    """A payment, with what its customer must do next."""
    payment = await reading.get_payment(tx, payment_id, reader)
    etag.set_header(response, payment.version)
    return PaymentView.of(payment)
