"""Queries on one cart: read it with what is offered now, change it, lock it for an order.

Every checkout runs these: they are Core statements of one shape, without the ORM.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.cart import Cart, Line, cart_items, carts
from cart.domain.pricing import (
    Cost,
    Offer,
    effective_price,
    product_snapshots,
    stock_snapshots,
    variant_snapshots,
)
from chassis.errors import Changed, NotFound
from chassis.rows import RowArrays
from contracts.cart import LockedCart


@dataclass(frozen=True, slots=True)
class CartOwner:
    """By what right a caller reaches a cart: as its customer, or with its token (hashed)."""

    customer_id: UUID | None
    token_hash: str | None

    def parameters(self, cart_id: UUID) -> dict[str, Any]:
        """The values of `IS_MINE`."""
        return {"cart": cart_id, "customer": self.customer_id, "token": self.token_hash}


def line_columns(rows: FromClause, variant_id: ColumnElement[UUID]) -> list[ColumnElement[Any]]:
    """The columns that `_line` and `_offer` read; `rows` are cart items."""
    return [
        rows.c.id.label("item_id"),
        variant_id.label("variant_id"),
        rows.c.quantity,
        rows.c.unit_price_amount,
        rows.c.customization,
        rows.c.customization_key,
        rows.c.added_at,
        rows.c.product_id.label("item_product_id"),
        rows.c.sku.label("item_sku"),
        rows.c.product_name.label("item_product_name"),
        rows.c.variant_description.label("item_description"),
        variant_snapshots.c.product_id,
        variant_snapshots.c.sku,
        variant_snapshots.c.description,
        variant_snapshots.c.price_amount,
        variant_snapshots.c.discount_price_amount,
        variant_snapshots.c.discount_from,
        variant_snapshots.c.discount_until,
        variant_snapshots.c.is_available,
        variant_snapshots.c.lead_time_days,
        product_snapshots.c.name.label("product_name"),
        product_snapshots.c.status.label("product_status"),
        product_snapshots.c.category_ids,
        product_snapshots.c.seller_id,
        product_snapshots.c.currency.label("offer_currency"),
        product_snapshots.c.customization_fields,
        stock_snapshots.c.available,
    ]


def with_offers(rows: FromClause, variant_id: ColumnElement[UUID]) -> FromClause:
    """Join rows to what is offered now under their variant, if anything is."""
    return (
        rows.outerjoin(variant_snapshots, variant_snapshots.c.variant_id == variant_id)
        .outerjoin(
            product_snapshots, product_snapshots.c.product_id == variant_snapshots.c.product_id
        )
        .outerjoin(stock_snapshots, stock_snapshots.c.variant_id == variant_id)
    )


_mine = (
    select(cart_items)
    .where(cart_items.c.cart_id == bindparam("cart_id", type_=Uuid()))
    .subquery("mine")
)
_wanted = select(
    func.unnest(bindparam("wanted", type_=ARRAY(Uuid()))).label("variant_id")
).subquery("wanted")
_variant = func.coalesce(_mine.c.variant_id, _wanted.c.variant_id)
LINES_AND_OFFERS = select(*line_columns(_mine, _variant)).select_from(
    with_offers(
        _mine.outerjoin(_wanted, _mine.c.variant_id == _wanted.c.variant_id, full=True), _variant
    )
)
IS_MINE = (carts.c.id == bindparam("cart", type_=Uuid())) & or_(
    carts.c.customer_id == bindparam("customer", type_=Uuid()),
    carts.c.token_hash == bindparam("token"),
)
CART = [carts.c[each.name] for each in fields(Cart) if each.name != "lines"]
READ = select(
    *(each.label(f"cart_{each.name}") for each in CART),
    *line_columns(cart_items, cart_items.c.variant_id),
).select_from(
    with_offers(
        carts.outerjoin(cart_items, cart_items.c.cart_id == carts.c.id), cart_items.c.variant_id
    )
)
READ_MINE = READ.where(IS_MINE)
READ_CURRENT = READ.where(
    carts.c.customer_id == bindparam("customer", type_=Uuid()), carts.c.status == "active"
)
TOUCH = {"version": carts.c.version + 1, "last_activity_at": func.now(), "updated_at": func.now()}
LOCK_MINE = update(carts).where(IS_MINE).values(TOUCH).returning(*CART)
LOCK_GUEST = select(*CART).where(carts.c.token_hash == bindparam("token")).with_for_update()
CREATE = insert(carts).returning(*CART)
CREATE_CURRENT = (
    upsert(carts)
    .on_conflict_do_nothing(
        index_elements=[carts.c.customer_id], index_where=text("status = 'active'")
    )
    .returning(*CART)
)
LOCK_CURRENT = (
    update(carts)
    .where(carts.c.customer_id == bindparam("customer", type_=Uuid()), carts.c.status == "active")
    .values(TOUCH)
    .returning(*CART)
)
# The version is compared in the statement itself: of two locks or changes the first one wins.
LOCK_FOR_ORDER = (
    update(carts)
    .where(
        carts.c.id == bindparam("cart", type_=Uuid()),
        carts.c.version == bindparam("version_read"),
        carts.c.status == "active",
    )
    .values({**TOUCH, "status": "locked", "lock_checked_at": func.now()})
    .returning(carts.c.id)
)
ITEMS = RowArrays(
    cart_items,
    (
        "id", "variant_id", "product_id", "sku", "product_name", "variant_description",
        "unit_price_amount", "quantity", "customization", "customization_key", "added_at",
    ),
)  # fmt: skip
SAVE_LINES = text(
    f"{ITEMS.insert(also={'cart_id': ':cart_id'})} "
    "on conflict (cart_id, variant_id, customization_key) do update "
    "set quantity = excluded.quantity, unit_price_amount = excluded.unit_price_amount, "
    "product_name = excluded.product_name, variant_description = excluded.variant_description, "
    "updated_at = now()"
)


def _cart(row: Row[Any]) -> Cart:
    return Cart(**row._mapping)  # noqa: SLF001


def _offer(row: Row[Any], now: datetime) -> Offer | None:
    """What is sold under a row's variant; None for a variant that catalog has not published."""
    if row.product_id is None:
        return None
    return Offer(
        variant_id=row.variant_id,
        product_id=row.product_id,
        seller_id=row.seller_id,
        sku=row.sku,
        product_name=row.product_name,
        variant_description=row.description,
        category_ids=tuple(row.category_ids),
        currency=row.offer_currency,
        unit_price_amount=effective_price(
            row.price_amount,
            row.discount_price_amount,
            row.discount_from,
            row.discount_until,
            now,
        ),
        is_available=row.is_available and row.product_status == "active",
        available=row.available or 0,
        lead_time_days=row.lead_time_days,
        customization_fields=row.customization_fields,
    )


def _line(row: Row[Any], now: datetime) -> Line:
    return Line(
        id=row.item_id,
        variant_id=row.variant_id,
        product_id=row.item_product_id,
        sku=row.item_sku,
        product_name=row.item_product_name,
        variant_description=row.item_description,
        seen_price_amount=row.unit_price_amount,
        quantity=row.quantity,
        customization=row.customization,
        customization_key=row.customization_key,
        added_at=row.added_at,
        offer=_offer(row, now),
    )


def _in_order(lines: Iterable[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (line.added_at, line.id))


async def _read(
    tx: AsyncSession, query: Any, parameters: Mapping[str, Any], now: datetime
) -> Cart | None:
    rows = (await tx.execute(query, parameters)).all()
    if not rows:
        return None
    cart = Cart(**{each.name: getattr(rows[0], f"cart_{each.name}") for each in CART})
    cart.lines = _in_order(_line(row, now) for row in rows if row.item_id is not None)
    return cart


async def get_cart(tx: AsyncSession, cart_id: UUID, owner: CartOwner, now: datetime) -> Cart:
    """Read a cart of this owner with its lines; raises NotFound."""
    found = await _read(tx, READ_MINE, owner.parameters(cart_id), now)
    if found is None:
        raise NotFound
    return found


async def find_current(tx: AsyncSession, customer_id: UUID, now: datetime) -> Cart | None:
    """Find the active cart of a customer with its lines."""
    return await _read(tx, READ_CURRENT, {"customer": customer_id}, now)


async def lock_cart(
    tx: AsyncSession, cart_id: UUID, owner: CartOwner, expected: int | None = None
) -> Cart:
    """Lock an open cart of this owner until commit and move its version on, without its lines.

    `expected` is the version the change is based on, if the client named one; raises Changed
    for another, NotFound for the cart of another owner.
    """
    row = (await tx.execute(LOCK_MINE, owner.parameters(cart_id))).one_or_none()
    if row is None:
        raise NotFound
    cart = _cart(row)
    if expected is not None and cart.version - 1 != expected:
        raise Changed
    cart.ensure_active()
    return cart


async def create_guest_cart(
    tx: AsyncSession, cart_id: UUID, token_hash: str, currency: str, email: str | None
) -> Cart:
    """Create a cart that is reached with a token."""
    values = {"id": cart_id, "token_hash": token_hash, "currency": currency, "email": email}
    return _cart((await tx.execute(CREATE, values)).one())


async def lock_or_create_current(
    tx: AsyncSession, new_id: UUID, customer_id: UUID, currency: str
) -> tuple[Cart, bool]:
    """Lock the active cart of a customer until commit; True beside it if it is new."""
    values = {"id": new_id, "customer_id": customer_id, "currency": currency}
    while True:
        found = (await tx.execute(LOCK_CURRENT, {"customer": customer_id})).one_or_none()
        if found is not None:
            return _cart(found), False
        created = (await tx.execute(CREATE_CURRENT, values)).one_or_none()
        if created is not None:
            return _cart(created), True
        # Another request created it between the two statements: the next turn finds it.


async def lock_guest_cart(tx: AsyncSession, token_hash: str) -> Cart | None:
    """Lock the cart of a token until commit."""
    row = (await tx.execute(LOCK_GUEST, {"token": token_hash})).one_or_none()
    return _cart(row) if row is not None else None


async def change_cart(tx: AsyncSession, cart_id: UUID, values: Mapping[str, Any]) -> None:
    """Set some columns of a cart whose row is locked."""
    await tx.execute(update(carts).where(carts.c.id == cart_id).values(**values))


async def lock_for_order(
    tx: AsyncSession, cart: Cart, order_id: UUID, costs: Cost, snapshot: LockedCart
) -> bool:
    """Lock an open cart for an order; False when it changed since it was read."""
    found = await tx.execute(
        LOCK_FOR_ORDER,
        {
            "cart": cart.id,
            "version_read": cart.version,
            "order_id": order_id,
            "locked": snapshot,
            "email": cart.email,
            "coupon_code": cart.coupon_code,
            "shipping_address": cart.shipping_address,
            "billing_address": cart.billing_address,
            "shipping_method_id": cart.shipping_method_id,
            "subtotal_amount": costs.subtotal_amount,
            "discount_amount": costs.discount_amount,
            "shipping_amount": costs.shipping_amount,
            "tax_amount": costs.tax_amount,
            "total_amount": costs.total_amount,
        },
    )
    return found.first() is not None


async def list_lines(
    tx: AsyncSession, cart_id: UUID, now: datetime, wanted: Sequence[UUID] = ()
) -> tuple[list[Line], dict[UUID, Offer]]:
    """List the lines of a cart, and the offers of these and of the wanted variants."""
    found = await tx.execute(LINES_AND_OFFERS, {"cart_id": cart_id, "wanted": sorted(set(wanted))})
    lines: list[Line] = []
    offers: dict[UUID, Offer] = {}
    for row in found:
        offer = _offer(row, now)
        if offer is not None:
            offers[row.variant_id] = offer
        if row.item_id is not None:
            lines.append(_line(row, now))
    return _in_order(lines), offers


async def save_lines(tx: AsyncSession, cart_id: UUID, lines: Sequence[Line]) -> None:
    """Write lines that are new or were set to another quantity; the cart's row must be locked."""
    await tx.execute(SAVE_LINES, {"cart_id": cart_id, **ITEMS.parameters(lines)})


async def delete_line(tx: AsyncSession, item_id: UUID) -> None:
    """Delete a line; the cart's row must be locked."""
    await tx.execute(delete(cart_items).where(cart_items.c.id == item_id))
