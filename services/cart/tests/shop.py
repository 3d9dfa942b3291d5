"""Fixtures: variants on sale, carts with their owners, and the peers that a cart calls."""

import json
from typing import Any
from uuid import UUID

import httpx

from cart.settings import CartSettings
from chassis.ids import new_id
from contracts.catalog import Price, ProductChanged, ProductVariant
from contracts.inventory import StockChanged
from testkit.harness import Harness, access_token, service_token

ADDRESS = {
    "recipient_name": "Ada Lovelace",
    "line1": "1 Main Street",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
}
METHOD = UUID(int=7)


class FakePeers:
    """Shipping, promotions and orders as the cart calls them; records the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.unavailable: set[str] = set()
        self.methods = [
            {
                "id": str(METHOD),
                "name": "Standard",
                "provider": "Post",
                "price_amount": 500,
                "currency": "USD",
                "estimated_days": 3,
            }
        ]
        self.coupon: dict[str, Any] = {"discount_amount": 300, "free_shipping": False}
        self.refusal: tuple[int, str] | None = None
        self.orders: dict[str, str] = {}

    def count(self, path: str) -> int:
        return sum(1 for sent_to, _ in self.requests if sent_to.endswith(path))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        body: Any = json.loads(request.content) if request.content else None
        self.requests.append((request.url.path, body))
        if request.url.host in self.unavailable:
            return httpx.Response(503, json={})
        if request.url.path == "/internal/rates":
            return httpx.Response(200, json={"methods": self.methods})
        if request.url.path == "/internal/coupons/evaluate":
            if self.refusal is not None:
                status, code = self.refusal
                return httpx.Response(status, json={"code": code, "detail": "No."})
            quote = {"coupon_id": str(UUID(int=9)), "code": body["code"], **self.coupon}
            return httpx.Response(200, json=quote)
        order = self.orders.get(request.url.path.rpartition("/")[2])
        if order in (None, "forbidden"):
            status, code = (404, "not_found") if order is None else (403, "forbidden")
            return httpx.Response(status, json={"code": code, "detail": "No."})
        return httpx.Response(200, json={"status": order})


class Shop:
    """The cart service with its client and its fake peers."""

    def __init__(self, harness: Harness[CartSettings], peers: FakePeers) -> None:
        self.harness = harness
        self.peers = peers
        self.client = harness.client

    async def sells(self, *, price: int = 1000, stock: int = 50, **product: Any) -> UUID:
        """Deliver a variant as catalog and inventory publish it; returns its id."""
        variant = ProductVariant(
            variant_id=new_id(),
            sku=f"SKU-{new_id().hex[-8:]}",
            description="Red / XL",
            price=Price(price_amount=price),
            is_available=True,
            lead_time_days=2,
        )
        category = product.pop("category_id", new_id())
        product_changed = ProductChanged(
            product_id=new_id(),
            slug="shirt",
            name="Shirt",
            category_id=category,
            category_path=product.pop("category_path", [category]),
            variants=[variant],
            **{"status": "active", "currency": "USD", **product},
        )
        await self.harness.deliver(
            product_changed, self.stock(variant.variant_id, product_changed.product_id, stock)
        )
        return variant.variant_id

    def stock(self, variant_id: UUID, product_id: UUID, available: int) -> StockChanged:
        return StockChanged(
            variant_id=variant_id,
            product_id=product_id,
            sku="SKU",
            available=available,
            on_hand=available,
            reserved=0,
            availability="in_stock",
        )

    async def guest_cart(self, *items: tuple[UUID, int], **body: Any) -> "Cart":
        wanted = [{"variant_id": str(variant), "quantity": n} for variant, n in items]
        answer = await self.client.post("/v1/carts", json={"items": wanted, **body})
        assert answer.status_code == 201, answer.text
        return Cart(self, answer.json(), {"X-Cart-Token": answer.json()["cart_token"]})

    async def customer_cart(self, *items: tuple[UUID, int], customer: UUID, **body: Any) -> "Cart":
        headers = {"Authorization": f"Bearer {access_token(customer_id=customer)}"}
        wanted = [{"variant_id": str(variant), "quantity": n} for variant, n in items]
        answer = await self.client.post(
            "/v1/carts", json={"items": wanted, **body}, headers=headers
        )
        assert answer.status_code in (200, 201), answer.text
        return Cart(self, answer.json(), headers)


class Cart:
    """One cart with its owner's headers."""

    def __init__(self, shop: Shop, body: dict[str, Any], headers: dict[str, str]) -> None:
        self.shop = shop
        self.body = body
        self.headers = headers
        self.id = body["id"]

    async def request(self, method: str, path: str = "", body: Any = None, **headers: str) -> Any:
        return await self.shop.client.request(
            method, f"/v1/carts/{self.id}{path}", json=body, headers={**self.headers, **headers}
        )

    async def read(self) -> dict[str, Any]:
        answer = await self.request("GET")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def lock(self, order_id: UUID | None = None, **body: Any) -> Any:
        """Lock as orders does, on behalf of the cart's owner."""
        headers = {"Authorization": f"Bearer {service_token('orders')}"}
        if "X-Cart-Token" in self.headers:
            headers["X-Cart-Token"] = self.headers["X-Cart-Token"]
        if "Authorization" in self.headers:
            headers["X-Caller-Token"] = self.headers["Authorization"].removeprefix("Bearer ")
        return await self.shop.client.post(
            f"/internal/carts/{self.id}/lock",
            json={"order_id": str(order_id or new_id()), **body},
            headers=headers,
        )

    async def unlock(self, order_id: UUID) -> Any:
        return await self.shop.client.post(
            f"/internal/carts/{self.id}/unlock",
            json={"order_id": str(order_id)},
            headers={"Authorization": f"Bearer {service_token('orders')}"},
        )


READY: dict[str, Any] = {
    "email": "ada@example.com",
    "shipping_address": ADDRESS,
    "shipping_method_id": str(METHOD),
}
