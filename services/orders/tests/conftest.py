"""Orders on a database of its own, with a fake cart."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from chassis.ids import new_id
from orders.main import service
from orders.settings import OrdersSettings
from testkit.harness import Harness, running_service, template_of

ADDRESS = {
    "recipient_name": "Ada Byron",
    "line1": "1 Analytical Way",
    "line2": "",
    "city": "London",
    "state": "",
    "postal_code": "N1 9GU",
    "country": "GB",
    "phone": "",
}


@dataclass
class FakeCart:
    """Responds to requests to lock a cart; `refusal` is a problem instead."""

    total_amount: int = 2500
    coupon: dict[str, Any] | None = None
    refusal: tuple[int, str] | None = None
    requests: list[httpx.Request] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Lock the cart, or refuse."""
        self.requests.append(request)
        if self.refusal is not None:
            status, code = self.refusal
            return httpx.Response(status, json={"code": code, "detail": "no", "status": status})
        body = json.loads(request.content)
        goods = max(self.total_amount - 500, 0)
        line = {
            "line_id": str(new_id()),
            "item_id": str(new_id()),
            "variant_id": str(new_id()),
            "product_id": str(new_id()),
            "seller_id": None,
            "sku": "TEA-1",
            "product_name": "Tea",
            "variant_description": "Green",
            "unit_price_amount": goods // 2,
            "quantity": 2,
            "discount_amount": 0,
            "tax_amount": 0,
            "total_amount": goods,
            "lead_time_days": 1,
            "customization": None,
        }
        return httpx.Response(
            200,
            json={
                "cart_id": request.url.path.split("/")[3],
                "customer_id": None,
                "email": body.get("email", "ada@example.com"),
                "currency": "USD",
                "lines": [line],
                "subtotal_amount": goods,
                "discount_amount": 0,
                "shipping_amount": self.total_amount - goods,
                "tax_amount": 0,
                "total_amount": self.total_amount,
                "coupon": self.coupon,
                "redeemer": "guest:abc",
                "shipping_method": {
                    "id": str(new_id()),
                    "name": "Post",
                    "provider": "manual",
                    "estimated_days": 3,
                },
                "ship_to": ADDRESS,
                "bill_to": ADDRESS,
            },
        )


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest.fixture
def cart() -> FakeCart:
    return FakeCart()


@pytest_asyncio.fixture
async def orders(template: str, cart: FakeCart) -> AsyncIterator[Harness[OrdersSettings]]:
    async def answers(request: httpx.Request) -> httpx.Response:
        return cart.answer(request)

    async for harness in running_service(
        service,
        template,
        answers=answers,
        cart_url="http://cart",
        order_token_secret="a secret that is long enough for tests",
        longest_wait=2,
    ):
        yield harness


@dataclass
class Guest:
    """A guest who checks out, with what their client remembers."""

    orders: Harness[OrdersSettings]
    token: str = field(default_factory=lambda: f"cart_{new_id().hex}")
    cart_id: UUID = field(default_factory=new_id)

    async def check_out(self, key: str = "k", **changes: Any) -> httpx.Response:
        """POST /v1/orders."""
        prefer = changes.pop("prefer", None)
        body = {
            "cart_id": str(self.cart_id),
            "payment": {"method": "card", "token": "tok_ok"},
            **changes,
        }
        headers = {"X-Cart-Token": self.token, "Idempotency-Key": key}
        if prefer:
            headers["Prefer"] = prefer
        return await self.orders.client.post("/v1/orders", json=body, headers=headers)


@pytest.fixture
def guest(orders: Harness[OrdersSettings]) -> Guest:
    return Guest(orders)
