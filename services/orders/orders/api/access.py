"""Who may do what with an order: its customer, the guest with its token, or staff."""

import base64
import hmac
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header
from sqlalchemy import ColumnElement

from chassis.auth import Caller, MaybeCaller, has_permission
from chassis.errors import Forbidden, Unauthenticated
from chassis.tokens import hash_of
from orders.store.orders import owned_by, visible_to

CartToken = Annotated[
    str | None,
    Header(alias="X-Cart-Token", max_length=200, description="A guest's cart token"),
]
OrderToken = Annotated[
    str | None,
    Header(alias="X-Order-Token", max_length=200, description="A guest's order token"),
]


def order_token(secret: str, order_id: UUID) -> str:
    """A guest's order token: derived, so that a repeated checkout can answer with it again."""
    mac = hmac.digest(secret.encode(), order_id.bytes, "sha256")
    return "ord_" + base64.urlsafe_b64encode(mac).decode().rstrip("=")


class CustomerInactive(Forbidden):
    """You may not buy at present; write to us."""

    code = "customer_inactive"


async def checkout_principal(caller: MaybeCaller, cart_token: CartToken = None) -> str:
    """Whose idempotency keys they are: the user's, who may buy, or the guest cart's."""
    if caller is not None:
        if not caller.may_buy:
            raise CustomerInactive
        return caller.principal
    if cart_token:
        return f"cart:{hash_of(cart_token)}"
    raise Unauthenticated("Sign in, or send the X-Cart-Token of your cart.")


async def order_principal(caller: MaybeCaller, token: OrderToken = None) -> str:
    """The same for orders that exist."""
    if caller is not None:
        return caller.principal
    if token:
        return f"order:{hash_of(token)}"
    raise Unauthenticated("Sign in, or send the X-Order-Token of your order.")


def _required_hash(caller: Caller | None, token: str | None) -> str | None:
    if caller is None and token is None:
        raise Unauthenticated("Sign in, or send the X-Order-Token of your order.")
    return hash_of(token) if token else None


async def _visible(caller: MaybeCaller, token: OrderToken = None) -> ColumnElement[bool]:
    return visible_to(caller, _required_hash(caller, token))


async def _owned(caller: MaybeCaller, token: OrderToken = None) -> ColumnElement[bool]:
    return owned_by(caller, _required_hash(caller, token))


Visible = Annotated[ColumnElement[bool], Depends(_visible)]
"""The rule of who sees an order, to be put inside the query: its owner, or staff."""

Owned = Annotated[ColumnElement[bool], Depends(_owned)]
"""The rule of who changes an order as its customer; staff has routes of its own."""

MayRefund = Annotated[bool, Depends(has_permission("orders:refund"))]
"""Whether the caller may return money."""
