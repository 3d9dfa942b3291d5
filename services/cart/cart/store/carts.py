"""Queries on carts: Core statements of one shape, because every checkout runs them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, Uuid, bindparam, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.basket import Basket
from cart.domain.cart import Cart
from cart.store.lines import in_order, items, line_columns, line_of, with_offers
from chassis.errors import Changed, NotFound

carts = cast("Table", Cart.__table__)


@dataclass(frozen=True, slots=True)
class Holder:
    """By what right somebody reaches a cart: as its customer, or with its token (hashed)."""

    customer_id: UUID | None
    token_hash: str | None

    def binds(self, cart_id: UUID) -> dict[str, Any]:
        """Give the values of `IS_MINE`."""
        return {"cart": cart_id, "customer": self.customer_id, "token": self.token_hash}


IS_MINE = (carts.c.id == bindparam("cart", type_=Uuid())) & or_(
    carts.c.customer_id == bindparam("customer", type_=Uuid()),
    carts.c.token_hash == bindparam("token"),
)
BASKET = [carts.c[each.name] for each in fields(Basket) if each.name != "lines"]
READ = select(
    *(each.label(f"cart_{each.name}") for each in BASKET),
    *line_columns(items, items.c.variant_id),
).select_from(
    with_offers(carts.outerjoin(items, items.c.cart_id == carts.c.id), items.c.variant_id)
)
READ_MINE = READ.where(IS_MINE)
READ_CURRENT = READ.where(
    carts.c.customer_id == bindparam("customer", type_=Uuid()), carts.c.status == "active"
)
TOUCH = {"version": carts.c.version + 1, "last_activity_at": func.now(), "updated_at": func.now()}
LOCK_MINE = update(carts).where(IS_MINE).values(TOUCH).returning(*BASKET)
LOCK_GUEST = select(*BASKET).where(carts.c.token_hash == bindparam("token")).with_for_update()
CREATE = insert(carts).returning(*BASKET)
CREATE_CURRENT = (
    upsert(carts)
    .on_conflict_do_nothing(
        index_elements=[carts.c.customer_id], index_where=text("status = 'active'")
    )
    .returning(*BASKET)
)
LOCK_CURRENT = (
    update(carts)
    .where(carts.c.customer_id == bindparam("customer", type_=Uuid()), carts.c.status == "active")
    .values(TOUCH)
    .returning(*BASKET)
)


def _basket(row: Any) -> Basket:
    return Basket(**row._mapping)  # noqa: SLF001


async def _read(
    tx: AsyncSession, query: Any, binds: Mapping[str, Any], now: datetime
) -> Basket | None:
    rows = (await tx.execute(query, binds)).all()
    if not rows:
        return None
    first = rows[0]
    basket = Basket(**{each.name: getattr(first, f"cart_{each.name}") for each in BASKET})
    basket.lines = in_order(line_of(row, now) for row in rows if row.item_id is not None)
    return basket


async def get_cart(tx: AsyncSession, cart_id: UUID, holder: Holder, now: datetime) -> Basket:
    """Read a cart of this holder with its lines."""
    found = await _read(tx, READ_MINE, holder.binds(cart_id), now)
    if found is None:
        raise NotFound
    return found


async def find_current(tx: AsyncSession, customer_id: UUID, now: datetime) -> Basket | None:
    """Find the active cart of a customer with its lines."""
    return await _read(tx, READ_CURRENT, {"customer": customer_id}, now)


async def lock_cart(
    tx: AsyncSession, cart_id: UUID, holder: Holder, expected: int | None = None
) -> Basket:
    """Take an open cart of this holder until commit and move its version on, without its lines.

    `expected` is the version the change is based on, if the client named one.
    """
    row = (await tx.execute(LOCK_MINE, holder.binds(cart_id))).one_or_none()
    if row is None:
        raise NotFound
    basket = _basket(row)
    if expected is not None and basket.version - 1 != expected:
        raise Changed
    basket.must_be_active()
    return basket


async def create_guest_cart(
    tx: AsyncSession, cart_id: UUID, token_hash: str, currency: str, email: str | None
) -> Basket:
    """Make a cart for whoever holds the token."""
    values = {"id": cart_id, "token_hash": token_hash, "currency": currency, "email": email}
    return _basket((await tx.execute(CREATE, values)).one())


async def lock_or_create_current(
    tx: AsyncSession, new_id: UUID, customer_id: UUID, currency: str
) -> tuple[Basket, bool]:
    """Take the active cart of a customer until commit; tells whether it was made just now."""
    values = {"id": new_id, "customer_id": customer_id, "currency": currency}
    while True:
        found = (await tx.execute(LOCK_CURRENT, {"customer": customer_id})).one_or_none()
        if found is not None:
            return _basket(found), False
        made = (await tx.execute(CREATE_CURRENT, values)).one_or_none()
        if made is not None:
            return _basket(made), True
        # Somebody made it between the two statements: the next turn finds it.


async def lock_guest_cart(tx: AsyncSession, token_hash: str) -> Basket | None:
    """Take the cart of a token until commit."""
    row = (await tx.execute(LOCK_GUEST, {"token": token_hash})).one_or_none()
    return _basket(row) if row is not None else None


async def change_cart(tx: AsyncSession, cart_id: UUID, values: Mapping[str, Any]) -> None:
    """Write some columns of a cart whose row is held."""
    await tx.execute(update(carts).where(carts.c.id == cart_id).values(**values))
