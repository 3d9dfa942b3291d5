"""One request on a cart: who asks and by what right, the change they make, the answer they get."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api import showing, views
from cart.domain.basket import Basket
from cart.domain.product import Offer
from cart.domain.questions import Buyer
from cart.domain.tax import Taxes
from cart.quotes import Quotes
from cart.settings import CartSettings
from cart.store import carts, lines
from cart.store.carts import Holder
from chassis import etag
from chassis.auth import Caller, MaybeCaller
from chassis.db import Database
from chassis.errors import Unauthenticated
from chassis.ids import utcnow
from chassis.tokens import hash_of

CartToken = Annotated[
    str | None,
    Header(
        alias="X-Cart-Token",
        max_length=200,
        description="`cart_token` of the guest's cart, as its creation told it",
    ),
]


def holder_of(caller: Caller | None, token: str | None) -> Holder:
    """Tell by what right somebody reaches a cart; refused without any."""
    if caller is None and token is None:
        raise Unauthenticated("Sign in, or send the guest cart's token as X-Cart-Token.")
    return Holder(
        customer_id=caller.customer_id if caller else None,
        token_hash=hash_of(token) if token else None,
    )


def buyer_of(basket: Basket, caller: Caller | None) -> Buyer:
    """Tell who would buy a cart: the signed-in caller, else the guest of the cart's e-mail."""
    if caller is not None:
        return Buyer(caller.customer_id, basket.email or caller.email)
    return Buyer(basket.customer_id, basket.email)


@dataclass
class Visit:
    """One request on a cart. `expected` is the version the change is based on, if one was named."""

    caller: Caller | None
    token: str | None = field(repr=False)
    expected: int | None
    database: Database
    quotes: Quotes
    settings: CartSettings
    response: Response
    taxes: Taxes | None = None

    @property
    def holder(self) -> Holder:
        """By what right the visitor reaches a cart."""
        return holder_of(self.caller, self.token)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction; the taxes that hold are read in it as well."""
        async with self.database.transaction() as tx:
            yield tx
            self.taxes = await self.quotes.taxes(tx)

    async def read(self, cart_id: UUID) -> Basket:
        """Read the visitor's cart."""
        async with self.transaction() as tx:
            return await carts.get_cart(tx, cart_id, self.holder, utcnow())

    @asynccontextmanager
    async def change(
        self, cart_id: UUID, wanted: Sequence[UUID] = ()
    ) -> AsyncIterator[tuple[AsyncSession, Basket, dict[UUID, Offer]]]:
        """Hold the visitor's open cart until commit; with it come the offers of wanted variants."""
        async with self.transaction() as tx:
            basket = await carts.lock_cart(tx, cart_id, self.holder, self.expected)
            basket.lines, offers = await lines.list_lines(tx, cart_id, utcnow(), wanted)
            yield tx, basket, offers

    def buyer(self, basket: Basket) -> Buyer:
        """Tell who would buy this cart."""
        return buyer_of(basket, self.caller)

    async def show(self, basket: Basket) -> views.CartView:
        """Answer with the cart at today's price. Asks neighbours: no transaction may be open."""
        if self.taxes is None:
            raise RuntimeError("a cart is shown after it was read")
        etag.set_header(self.response, basket.version)
        return await showing.show(basket, self.buyer(basket), self.quotes, self.taxes)


async def _visit(
    request: Request,
    response: Response,
    caller: MaybeCaller,
    expected: etag.OptionalIfMatch,
    token: CartToken = None,
) -> Visit:
    state = request.app.state
    return Visit(
        caller=caller,
        token=token,
        expected=expected,
        database=state.database,
        quotes=state.resources.quotes,
        settings=state.settings,
        response=response,
    )


Visiting = Annotated[Visit, Depends(_visit)]


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _quotes(request: Request) -> Quotes:
    quotes: Quotes = request.app.state.resources.quotes
    return quotes


Db = Annotated[Database, Depends(_database)]
Asked = Annotated[Quotes, Depends(_quotes)]
