"""Fills the shop through its public API: a category, a warehouse, shipping and products."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from suite.bench.client import Connection
from suite.bench.target import Target, Unexpected, until

CONCURRENCY = 8
BULK = 500
LARGEST_CART = 50
PIECES = 1_000_000
PRICE_AMOUNT = 2000
CURRENCY = "USD"
COUNTRY = "US"


@dataclass(frozen=True, slots=True)
class Product:
    """A product on sale with one variant."""

    id: str
    variant_id: str


@dataclass
class Shop:
    """The products of the bench, and the shipping method."""

    target: Target
    category_id: str = ""
    warehouse_id: str = ""
    shipping_method_id: str = ""
    products: list[Product] = field(default_factory=list)

    @classmethod
    async def open(cls, target: Target) -> "Shop":
        """Create the category, the warehouse and the shipping method."""
        await target.sign_in()
        shop, mark = cls(target), secrets.token_hex(3)
        category = await shop.post("/v1/admin/categories", {"name": f"Bench {mark}"})
        warehouse = {"code": f"BENCH-{mark}", "name": f"Bench {mark}", "priority": 1}
        shop.category_id = category["id"]
        shop.warehouse_id = (await shop.post("/v1/admin/warehouses", warehouse))["id"]
        shop.shipping_method_id = await shop.shipping_method(mark)
        return shop

    async def shipping_method(self, mark: str) -> str:
        """Create a shipping method at one price; returns its id."""
        carrier = {"code": f"bench-{mark}", "name": f"Bench {mark}", "adapter": "manual"}
        provider = await self.post("/v1/admin/shipping-providers", carrier)
        method = {
            "provider_id": provider["id"],
            "name": f"Bench {mark}",
            "zones": [{"country": COUNTRY}],
            "priced_by": "value",
            "tiers": [{"price_amount": 500}],
            "currency": CURRENCY,
            "estimated_days": 3,
        }
        return str((await self.post("/v1/admin/shipping-methods", method))["id"])

    async def stock(self, count: int, pieces: int = PIECES) -> list[Product]:
        """Put new products on sale, each with `pieces`, and wait until carts accept them."""
        numbers = iter(range(count))
        made: list[Product] = []

        async def work() -> None:
            connection = Connection(self.target.url)
            made.extend([await self._create(connection) for _ in numbers])
            connection.close()

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        for start in range(0, count, BULK):
            await self._count(made[start : start + BULK], pieces)
        for start in range(0, count, LARGEST_CART):
            part = made[start : start + LARGEST_CART]
            await until(lambda part=part: self._is_on_sale(part), "the sale of new products")  # type: ignore[misc]
        self.products += made
        return made

    async def _create(self, connection: Connection) -> Product:
        sku = f"B-{secrets.token_hex(6)}"
        product = {
            "category_id": self.category_id,
            "name": f"Bench {sku}",
            "base_price": {"amount": PRICE_AMOUNT, "currency": CURRENCY},
            "status": "active",
            "variants": [{"sku": sku}],
        }
        made = await self.post("/v1/admin/products", product, connection)
        return Product(made["id"], made["variants"][0]["id"])

    async def _count(self, products: list[Product], pieces: int) -> None:
        """Set the stock of products, once inventory has received their variants."""
        rows = [
            {
                "variant_id": product.variant_id,
                "warehouse_id": self.warehouse_id,
                "on_hand": pieces,
            }
            for product in products
        ]
        body = {"items": rows, "reason": "stock for the bench"}
        connection = Connection(self.target.url)

        async def counted() -> bool:
            headers = {**self.target.staff, "Idempotency-Key": secrets.token_hex(12)}
            answer = await connection.request("POST", "/v1/admin/stock/bulk", body, headers)
            if answer.is_success:
                return True
            if answer.problem != "variant_unknown":
                raise Unexpected(f"stock was refused: {answer.body[:300].decode()}")
            return False

        await until(counted, "the arrival of new variants in inventory")
        connection.close()

    async def _is_on_sale(self, products: list[Product]) -> bool:
        """Whether a cart accepts one of each."""
        wanted = [{"variant_id": product.variant_id, "quantity": 1} for product in products]
        answer = await Connection(self.target.url).request("POST", "/v1/carts", {"items": wanted})
        return answer.is_success

    async def level(self, product: Product) -> dict[str, Any]:
        """Inventory's stock of a product: `on_hand`, `reserved` and more."""
        await self.target.sign_in()
        path = f"/v1/admin/stock/{product.variant_id}"
        found: dict[str, Any] = await self.target.call(
            Connection(self.target.url), "GET", path, headers=self.target.staff
        )
        return found

    async def post(self, path: str, body: Any, connection: Connection | None = None) -> Any:
        """POST as the administrator with a new idempotency key; raises Unexpected on failure."""
        headers = {**self.target.staff, "Idempotency-Key": secrets.token_hex(12)}
        return await self.target.call(
            connection or Connection(self.target.url), "POST", path, body, headers
        )
