"""Queries on one cart: read it with what is offered now, change it, lock it for an order.

Every checkout runs these on asyncpg.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.cart import Cart, Line, cart_items, carts
from cart.domain.pricing import Cost, Offer, effective_price
from chassis import driver
from chassis.driver import Sql
from chassis.errors import Changed, NotFound
from chassis.rows import RowArrays
from contracts.address import Address
from contracts.cart import LockedCart


@dataclass(frozen=True, slots=True)
class CartOwner:
    """By what right a caller reaches a cart: as its customer, or with its token (hashed)."""

    customer_id: UUID | None
    token_hash: str | None

    def parameters(self, cart_id: UUID) -> dict[str, Any]:
        """The values of `IS_MINE`."""
        return {"cart": cart_id, "customer": self.customer_id, "token": self.token_hash}


MODELS: Mapping[str, type[Address | LockedCart]] = {
    "shipping_address": Address,
    "billing_address": Address,
    "locked": LockedCart,
}
CART = [each.name for each in fields(Cart) if each.name != "lines"]
CART_COLUMNS = ", ".join(CART)
# What `_line` and `_offer` read.
LINE_COLUMNS = (
    "i.id as item_id, i.quantity, i.unit_price_amount, i.customization, i.customization_key, "
    "i.added_at, i.product_id as item_product_id, i.sku as item_sku, "
    "i.product_name as item_product_name, i.variant_description as item_description, "
    "v.product_id, v.sku, v.description, v.price_amount, v.discount_price_amount, "
    "v.discount_from, v.discount_until, v.is_available, v.lead_time_days, "
    "p.name as product_name, p.status as product_status, p.category_ids, p.seller_id, "
    "p.currency as offer_currency, p.customization_fields, s.available"
)
# What is offered now under a variant, if anything is.
OFFERS = (
    "left join variant_snapshots v on v.variant_id = {variant_id} "
    "left join product_snapshots p on p.product_id = v.product_id "
    "left join stock_snapshots s on s.variant_id = {variant_id}"
)
LINES_AND_OFFERS = Sql(
    f"select coalesce(i.variant_id, w.variant_id) as variant_id, {LINE_COLUMNS} "  # noqa: S608
    "from (select * from cart_items where cart_id = :cart_id) i "
    "full join (select unnest(cast(:wanted as uuid[])) as variant_id) w "
    "on i.variant_id = w.variant_id "
    + OFFERS.format(variant_id="coalesce(i.variant_id, w.variant_id)")
)
IS_MINE = "carts.id = :cart and (carts.customer_id = :customer or carts.token_hash = :token)"
IS_CURRENT = "carts.customer_id = :customer and carts.status = 'active'"
READ = (
    f"select {', '.join(f'carts.{name} as cart_{name}' for name in CART)}, i.variant_id, "  # noqa: S608
    f"{LINE_COLUMNS} from carts left join cart_items i on i.cart_id = carts.id "
    f"{OFFERS.format(variant_id='i.variant_id')} where "
)
READ_MINE = Sql(READ + IS_MINE)
READ_CURRENT = Sql(READ + IS_CURRENT)
TOUCH = "version = version + 1, last_activity_at = now(), updated_at = now()"
LOCK_MINE = Sql(f"update carts set {TOUCH} where {IS_MINE} returning {CART_COLUMNS}")  # noqa: S608
LOCK_CURRENT = Sql(
    f"update carts set {TOUCH} where {IS_CURRENT} returning {CART_COLUMNS}"  # noqa: S608
)
LOCK_GUEST = Sql(f"select {CART_COLUMNS} from carts where token_hash = :token for update")  # noqa: S608
CREATE = Sql(
    "insert into carts (id, token_hash, currency, email) "  # noqa: S608
    f"values (:id, :token_hash, :currency, :email) returning {CART_COLUMNS}"
)
CREATE_CURRENT = Sql(
    "insert into carts (id, customer_id, currency) values (:id, :customer_id, :currency) "  # noqa: S608
    f"on conflict (customer_id) where status = 'active' do nothing returning {CART_COLUMNS}"
)
# The version is compared in the statement itself: of two locks or changes the first one wins.
LOCK_FOR_ORDER = Sql(
    f"update carts set {TOUCH}, status = 'locked', lock_checked_at = now(), "  # noqa: S608
    "order_id = :order_id, locked = cast(:locked as jsonb), email = :email, "
    "coupon_code = :coupon_code, shipping_address = cast(:shipping_address as jsonb), "
    "billing_address = cast(:billing_address as jsonb), shipping_method_id = :shipping_method_id, "
    "subtotal_amount = :subtotal_amount, discount_amount = :discount_amount, "
    "shipping_amount = :shipping_amount, tax_amount = :tax_amount, total_amount = :total_amount "
    "where id = :cart and version = :version_read and status = 'active' returning id"
)
DELETE_LINE = Sql("delete from cart_items where id = :id")
ITEMS = RowArrays(
    cart_items,
    (
        "id", "variant_id", "product_id", "sku", "product_name", "variant_description",
        "unit_price_amount", "quantity", "customization", "customization_key", "added_at",
    ),
)  # fmt: skip
SAVE_LINES = Sql(
    f"{ITEMS.insert(also={'cart_id': ':cart_id'})} "
    "on conflict (cart_id, variant_id, customization_key) do update "
    "set quantity = excluded.quantity, unit_price_amount = excluded.unit_price_amount, "
    "product_name = excluded.product_name, variant_description = excluded.variant_description, "
    "updated_at = now()"
)


def _cart(columns: Mapping[str, Any]) -> Cart:
    models = {
        name: model.model_validate(columns[name])
        for name, model in MODELS.items()
        if columns[name] is not None
    }
    return Cart(**{**columns, **models})


def _json(model: Address | LockedCart | None) -> str | None:
    return model.model_dump_json() if model is not None else None


def _offer(row: Any, now: datetime) -> Offer | None:
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


def _line(row: Any, now: datetime) -> Line:
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
    tx: AsyncSession, query: Sql, parameters: Mapping[str, Any], now: datetime
) -> Cart | None:
    rows = await driver.fetch(tx, query, parameters)
    if not rows:
        return None
    cart = _cart({name: rows[0][f"cart_{name}"] for name in CART})
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
    row = await driver.fetchrow(tx, LOCK_MINE, owner.parameters(cart_id))
    if row is None:
        raise NotFound
    cart = _cart(dict(row))
    if expected is not None and cart.version - 1 != expected:
        raise Changed
    cart.ensure_active()
    return cart


async def create_guest_cart(
    tx: AsyncSession, cart_id: UUID, token_hash: str, currency: str, email: str | None
) -> Cart:
    """Create a cart that is reached with a token."""
    values = {"id": cart_id, "token_hash": token_hash, "currency": currency, "email": email}
    return _cart(dict(await driver.fetchrow(tx, CREATE, values)))


async def lock_or_create_current(
    tx: AsyncSession, new_id: UUID, customer_id: UUID, currency: str
) -> tuple[Cart, bool]:
    """Lock the active cart of a customer until commit; True beside it if it is new."""
    values = {"id": new_id, "customer_id": customer_id, "currency": currency}
    while True:
        found = await driver.fetchrow(tx, LOCK_CURRENT, {"customer": customer_id})
        if found is not None:
            return _cart(dict(found)), False
        created = await driver.fetchrow(tx, CREATE_CURRENT, values)
        if created is not None:
            return _cart(dict(created)), True
        # Another request created it between the two statements: the next turn finds it.


async def lock_guest_cart(tx: AsyncSession, token_hash: str) -> Cart | None:
    """Lock the cart of a token until commit."""
    row = await driver.fetchrow(tx, LOCK_GUEST, {"token": token_hash})
    return _cart(dict(row)) if row is not None else None


async def change_cart(tx: AsyncSession, cart_id: UUID, values: Mapping[str, Any]) -> None:
    """Set some columns of a cart whose row is locked."""
    columns = {
        name: value.model_dump(mode="json") if isinstance(value, Address) else value
        for name, value in values.items()
    }
    await tx.execute(update(carts).where(carts.c.id == cart_id).values(**columns))


async def lock_for_order(
    tx: AsyncSession, cart: Cart, order_id: UUID, costs: Cost, snapshot: LockedCart
) -> bool:
    """Lock an open cart for an order; False when it changed since it was read."""
    found = await driver.fetchrow(
        tx,
        LOCK_FOR_ORDER,
        {
            "cart": cart.id,
            "version_read": cart.version,
            "order_id": order_id,
            "locked": _json(snapshot),
            "email": cart.email,
            "coupon_code": cart.coupon_code,
            "shipping_address": _json(cart.shipping_address),
            "billing_address": _json(cart.billing_address),
            "shipping_method_id": cart.shipping_method_id,
            "subtotal_amount": costs.subtotal_amount,
            "discount_amount": costs.discount_amount,
            "shipping_amount": costs.shipping_amount,
            "tax_amount": costs.tax_amount,
            "total_amount": costs.total_amount,
        },
    )
    return found is not None


async def list_lines(
    tx: AsyncSession, cart_id: UUID, now: datetime, wanted: Sequence[UUID] = ()
) -> tuple[list[Line], dict[UUID, Offer]]:
    """List the lines of a cart, and the offers of these and of the wanted variants."""
    values = {"cart_id": cart_id, "wanted": sorted(set(wanted))}
    lines: list[Line] = []
    offers: dict[UUID, Offer] = {}
    for row in await driver.fetch(tx, LINES_AND_OFFERS, values):
        offer = _offer(row, now)
        if offer is not None:
            offers[row.variant_id] = offer
        if row.item_id is not None:
            lines.append(_line(row, now))
    return _in_order(lines), offers


async def save_lines(tx: AsyncSession, cart_id: UUID, lines: Sequence[Line]) -> None:
    """Write lines that are new or were set to another quantity; the cart's row must be locked."""
    await driver.execute(tx, SAVE_LINES, {"cart_id": cart_id, **ITEMS.parameters(lines)})


async def delete_line(tx: AsyncSession, item_id: UUID) -> None:
    """Delete a line; the cart's row must be locked."""
    await driver.execute(tx, DELETE_LINE, {"id": item_id})
