"""Fills the shop through its public API with the sample shop's data: premises and products."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from bench.client import Connection
from bench.target import Target, until
from suite.shop import goods, seeding
from suite.shop.catalogue import SampleProduct
from suite.shop.sample import product
from suite.shop.seeding import Premises

LARGEST_CART = 50
PIECES = 1_000_000


@dataclass(frozen=True, slots=True)
class Product:
    """A product on sale with one variant."""

    id: str
    variant_id: str


@dataclass
class Shop:
    """The premises, and the products of the bench, which are all in the first warehouse."""

    target: Target
    premises: Premises
    products: list[Product] = field(default_factory=list)

    @classmethod
    async def open(cls, target: Target) -> "Shop":
        """Create the category, the warehouses and the shipping method."""
        async with target.staff() as staff:
            return cls(target, await seeding.open_premises(staff))

    async def stock(self, count: int, pieces: int = PIECES) -> list[Product]:
        """Put new products on sale, each with `pieces`, and wait until carts accept them."""
        category, warehouses = self.premises.category, self.premises.warehouses
        skus = [f"B-{secrets.token_hex(6).upper()}" for _ in range(count)]
        wanted = [SampleProduct(category, product(sku), {sku: (pieces,)}) for sku in skus]
        async with self.target.staff() as staff:
            categories = {category: self.premises.category_id}
            rows = await goods.put_on_sale(staff, wanted, categories, warehouses, _discard)
        made = [Product(row["id"], row["variants"][0]["id"]) for row in rows]
        for start in range(0, count, LARGEST_CART):
            part = made[start : start + LARGEST_CART]
            await until(lambda part=part: self._is_on_sale(part), "the sale of new products")  # type: ignore[misc]
        self.products += made
        return made

    async def _is_on_sale(self, products: list[Product]) -> bool:
        """Whether a cart accepts one of each."""
        wanted = [{"variant_id": product.variant_id, "quantity": 1} for product in products]
        answer = await Connection(self.target.url).request("POST", "/v1/carts", {"items": wanted})
        return answer.is_success

    async def level(self, product: Product) -> dict[str, Any]:
        """Inventory's stock of a product: `on_hand`, `reserved` and more."""
        async with self.target.staff() as staff:
            found: dict[str, Any] = await staff.get(f"/v1/admin/stock/{product.variant_id}")
        return found


def _discard(_line: str) -> None:
    """Report no progress."""
