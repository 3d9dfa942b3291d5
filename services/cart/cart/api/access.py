"""What a route on carts is handed: who asks and by what right, the version expected, what to ask with."""

import hashlib
import re
from typing import Annotated

from fastapi import Depends, Header, Request

from cart.domain.basket import Basket
from cart.domain.checkout import Buyer
from cart.quotes import Quotes
from cart.settings import CartSettings
from cart.store.carts import Holder
from chassis.auth import Caller, MaybeCaller
from chassis.db import Database
from chassis.errors import Malformed, Unauthenticated

CartToken = Annotated[
    str | None,
    Header(
        alias="X-Cart-Token",
        max_length=200,
        description="`cart_token` of the guest's cart, as its creation told it",
    ),
]


def hash_of(token: str) -> str:
    """The form in which a cart token is stored."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def holder_of(caller: Caller | None, token: str | None) -> Holder:
    """By what right somebody reaches a cart; refused without any."""
    if caller is None and token is None:
        raise Unauthenticated("Sign in, or send the guest cart's token as X-Cart-Token.")
    return Holder(
        customer_id=caller.customer_id if caller else None,
        token_hash=hash_of(token) if token else None,
    )


def buyer_of(basket: Basket, caller: Caller | None) -> Buyer:
    """Who would buy this cart: the signed-in caller, else the guest of the cart's e-mail."""
    if caller is not None:
        return Buyer(caller.customer_id, basket.email or caller.email)
    return Buyer(basket.customer_id, basket.email)


async def _holder(caller: MaybeCaller, token: CartToken = None) -> Holder:
    return holder_of(caller, token)


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _settings(request: Request) -> CartSettings:
    settings: CartSettings = request.app.state.settings
    return settings


def _quotes(request: Request) -> Quotes:
    quotes: Quotes = request.app.state.resources.quotes
    return quotes


def _expected(
    if_match: Annotated[
        str | None, Header(alias="If-Match", description="refuse the change of any other version")
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = re.fullmatch(r'(?:W/)?"([0-9]{1,18})"', if_match.strip())
    if found is None:
        raise Malformed("If-Match must be the ETag of the version you read.", code="bad_if_match")
    return int(found[1])


Held = Annotated[Holder, Depends(_holder)]
Db = Annotated[Database, Depends(_database)]
Settings = Annotated[CartSettings, Depends(_settings)]
Asked = Annotated[Quotes, Depends(_quotes)]
# A cart has one owner, so naming the version one saw is allowed here and not demanded.
Expected = Annotated[int | None, Depends(_expected)]
