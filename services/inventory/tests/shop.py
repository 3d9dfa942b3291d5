"""A shop with two warehouses, messages of its neighbours, and the invariants of its stock."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.ids import new_id, utcnow
from chassis.settings import ServiceSettings
from contracts.catalog import Price, ProductChanged, ProductVariant
from contracts.inventory import Allocation, ReserveStock, WantedLine
from contracts.money import Money
from contracts.orders import OrderConfirmed
from contracts.shipping import ShipmentHandedOver, ShippedLine
from testkit.harness import Harness


def product(variants: int = 1, seller_id: UUID | None = None, sequence: int = 1) -> ProductChanged:
    product_id = new_id()
    price = Price(price_amount=1000)
    return ProductChanged(
        product_id=product_id,
        slug="mug",
        name="Mug",
        status="active",
        category_id=new_id(),
        category_path=[],
        seller_id=seller_id,
        currency="USD",
        variants=[
            ProductVariant(
                variant_id=new_id(), sku=f"MUG-{n}", description="", price=price, is_available=True
            )
            for n in range(variants)
        ],
    ).with_sequence(sequence)


def wants(*lines: tuple[UUID, int], **changes: Any) -> ReserveStock:
    wanted = [WantedLine(line_id=new_id(), variant_id=v, quantity=q) for v, q in lines]
    return ReserveStock(
        **{"operation_id": new_id(), "order_id": new_id(), "lines": wanted, **changes}
    )


def confirmed(order_id: UUID) -> OrderConfirmed:
    return OrderConfirmed(
        order_id=order_id,
        order_number="2026-000001",
        cart_id=new_id(),
        lines=[],
        total=Money(amount=0, currency="USD"),
        payment_method="card",
        confirmed_at=utcnow(),
    )


def parcel(order_id: UUID, *pieces: Allocation) -> ShipmentHandedOver:
    lines = [
        ShippedLine(line_id=a.line_id, variant_id=a.variant_id, quantity=a.quantity) for a in pieces
    ]
    return ShipmentHandedOver(
        shipment_id=new_id(),
        order_id=order_id,
        warehouse_id=pieces[0].warehouse_id,
        lines=lines,
        handed_over_at=utcnow(),
    )


@dataclass
class Shop:
    """Inventory with two warehouses, what tests do with it, and its invariants."""

    inventory: Harness[ServiceSettings]
    first: UUID
    second: UUID

    @classmethod
    async def open(cls, inventory: Harness[ServiceSettings]) -> "Shop":
        shop = cls(inventory, new_id(), new_id())
        for priority, (code, warehouse_id) in enumerate((("W1", shop.first), ("W2", shop.second))):
            await inventory.sql(
                "insert into warehouses (id, code, name, priority, is_active) "
                "values (:id, :code, :code, :priority, true)",
                id=warehouse_id,
                code=code,
                priority=priority,
            )
        return shop

    def staff(self, **claims: Any) -> dict[str, str]:
        return self.inventory.signed_in(permissions=("stock:read", "stock:write"), **claims)

    async def variant(self, first: int | None = None, second: int | None = None) -> UUID:
        """A variant with some pieces in each warehouse; None: never stocked there."""
        published = product()
        await self.inventory.deliver(published)
        variant_id = published.variants[0].variant_id
        for warehouse_id, on_hand in ((self.first, first), (self.second, second)):
            if on_hand is not None:
                await self.count(variant_id, warehouse_id, on_hand)
        await self.inventory.clear_outbox()
        return variant_id

    async def count(self, variant_id: UUID, warehouse_id: UUID, on_hand: int, **body: Any) -> Any:
        answer = await self.inventory.client.put(
            f"/v1/admin/stock/{variant_id}/{warehouse_id}",
            json={"on_hand": on_hand, "reason": "counted", **body},
            headers=self.staff(),
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def pieces(self, variant_id: UUID) -> list[tuple[int, int]]:
        """(on hand, reserved) in the first and the second warehouse."""
        rows = await self.inventory.sql(
            "select on_hand, reserved from stock_items i join warehouses w on w.id = warehouse_id "
            "where variant_id = :variant_id order by priority",
            variant_id=variant_id,
        )
        return [tuple(row) for row in rows]

    async def state(self, order_id: UUID) -> str:
        rows = await self.inventory.sql(
            "select state from reservations where order_id = :order_id", order_id=order_id
        )
        return str(rows[0].state)

    async def violations(self) -> list[Any]:
        """The violations of the invariants; every test must leave none."""
        return [
            *await self.inventory.sql(OVERSOLD),
            *await self.inventory.sql(UNBALANCED_MOVEMENTS),
            *await self.inventory.sql(WRONG_LEVELS),
        ]


# Pieces that live orders hold, against what their stock item has reserved and on hand.
OVERSOLD = """
select 'oversold', i.variant_id, i.warehouse_id, i.on_hand, i.reserved, coalesce(p.pieces, 0)
from stock_items i left join (
  select a.variant_id, a.warehouse_id, sum(a.quantity - a.deducted) as pieces
  from allocations a join reservations r using (order_id)
  where r.state in ('held', 'committed') group by 1, 2
) p on p.variant_id = i.variant_id and p.warehouse_id = i.warehouse_id
where i.reserved <> coalesce(p.pieces, 0) or coalesce(p.pieces, 0) > i.on_hand
"""
UNBALANCED_MOVEMENTS = """
select 'unbalanced', i.variant_id, i.warehouse_id, b.bucket, b.pieces, coalesce(m.pieces, 0)
from stock_items i
cross join lateral (values ('on_hand', i.on_hand), ('reserved', i.reserved)) as b (bucket, pieces)
left join (
  select variant_id, warehouse_id, bucket, sum(adjustment) as pieces
  from stock_movements group by 1, 2, 3
) m on m.variant_id = i.variant_id and m.warehouse_id = i.warehouse_id and m.bucket = b.bucket
where b.pieces <> coalesce(m.pieces, 0)
"""
WRONG_LEVELS = """
select 'wrong level', l.variant_id, l.on_hand, l.reserved from stock_levels l
left join (
  select variant_id, sum(on_hand) as on_hand, sum(reserved) as reserved
  from stock_items i join warehouses w on w.id = i.warehouse_id where w.is_active group by 1
) i on i.variant_id = l.variant_id
where (l.on_hand, l.reserved) <> (coalesce(i.on_hand, 0), coalesce(i.reserved, 0))
"""
