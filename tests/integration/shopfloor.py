"""Driving the whole suite through its gateway as people do: staff who stock it, customers who buy."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

import httpx

from suite.environment import ADMIN_EMAIL
from suite.instance import Instance
from suite.shop import sample, seeding
from suite.shop.gateway import Gateway, ensure
from suite.shop.sample import ADDRESS, CURRENCY, PAYMENT

Found = TypeVar("Found")

WAIT_LIMIT = 60.0
ENDED = ("completed", "cancelled")


async def until(
    condition: Callable[[], Awaitable[Found | None]], seconds: float = WAIT_LIMIT
) -> Found:
    """Wait until a condition holds; the last thing it saw is in the error when it never does."""
    found: Any = None
    try:
        async with asyncio.timeout(seconds):
            while not (found := await condition()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never true within {seconds} s: {condition}, last {found}") from None
    return found


def ok(answer: httpx.Response) -> Any:
    """The JSON of an answer that must be a success."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer.json() if answer.content else None


def key() -> dict[str, str]:
    """A fresh Idempotency-Key header."""
    return {"Idempotency-Key": secrets.token_hex(12)}


@dataclass
class Product:
    """A product on sale with one variant."""

    id: str
    variant_id: str
    sku: str
    price_amount: int


@dataclass
class Staff:
    """A member of staff signed in with every permission."""

    http: httpx.AsyncClient
    token: str
    category_id: str = ""
    warehouses: list[str] = field(default_factory=list)
    shipping_method_id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Their authorisation."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def gateway(self) -> Gateway:
        """The seeder's client, as they."""
        return Gateway(self.http, self.token)

    async def get(self, path: str, **query: Any) -> Any:
        """GET, which must succeed."""
        return ok(await self.http.get(path, params=query, headers=self.headers))

    async def post(self, path: str, body: Any) -> Any:
        """POST with an idempotency key, which must succeed."""
        return ok(await self.http.post(path, json=body, headers={**self.headers, **key()}))

    async def open_shop(self) -> None:
        """The sample shop's premises; what an earlier run left is taken over."""
        premises = await seeding.open_premises(self.gateway)
        self.category_id, self.warehouses = premises.category_id, list(premises.warehouses)
        self.shipping_method_id = premises.shipping_method_id

    async def free_shipping(self, state: str) -> str:
        """A shipping method that costs nothing, for one state."""
        (provider, *_) = (await self.get("/v1/admin/shipping-providers"))["items"]
        method = {
            "provider_id": provider["id"],
            "name": f"Free {state}",
            "zones": [{"country": "US", "states": [state]}],
            "tiers": [{"price_amount": 0}],
            "currency": "USD",
            "estimated_days": 5,
        }
        path = "/v1/admin/shipping-methods"
        return (await ensure(self.gateway, path, itemgetter("name"), [method]))[method["name"]]

    async def sell(self, stock: int, price_amount: int = 2000, second: int = 0) -> Product:
        """Put a product on sale, with so many pieces in the first warehouse and in the second."""
        sku = f"SKU-{secrets.token_hex(5)}"
        price = {"amount": price_amount, "currency": CURRENCY}
        body = sample.product(sku, category_id=self.category_id, base_price=price)
        made = await self.post("/v1/admin/products", body)
        product = Product(made["id"], made["variants"][0]["id"], sku, price_amount)
        for warehouse, pieces in zip(self.warehouses, (stock, second), strict=True):
            await self.stock(product, warehouse, pieces)
        await until(lambda: self._is_on_sale(product, stock + second))
        return product

    async def stock(self, product: Product, warehouse_id: str, pieces: int) -> None:
        """Set the stock of a product; inventory learns of a new variant a moment after its creation."""
        url = f"/v1/admin/stock/{product.variant_id}/{warehouse_id}"

        async def done() -> bool:
            body = {"on_hand": pieces, "reason": "delivery"}
            answer = await self.http.put(url, json=body, headers=self.headers)
            if answer.status_code == 404:
                return False
            ok(answer)
            return True

        await until(done)

    async def _is_on_sale(self, product: Product, pieces: int) -> bool:
        """Whether cart knows the product and its stock: a cart can be made with all of it."""
        wanted = {"variant_id": product.variant_id, "quantity": max(1, min(pieces, 99))}
        answer = await self.http.post("/v1/carts", json={"items": [wanted]})
        return answer.is_success or (pieces == 0 and answer.status_code == 409)

    async def coupon(self, **changes: Any) -> str:
        """A coupon; ten per cent off by default."""
        code = f"C{secrets.token_hex(4).upper()}"
        body = {"code": code, "discount_type": "percentage", "value": 1000, **changes}
        await self.post("/v1/admin/coupons", body)
        return code

    async def level(self, product: Product) -> tuple[int, int]:
        """Pieces on hand and promised, over both warehouses."""
        found = await self.get(f"/v1/admin/stock/{product.variant_id}")
        return found["on_hand"], found["reserved"]

    async def saga(self, order_id: str) -> Any:
        """The order's process, step by step."""
        return await self.get(f"/v1/admin/sagas/{order_id}")

    async def ended(self, order_id: str, seconds: float = WAIT_LIMIT) -> Any:
        """The saga once it is completed or cancelled."""

        async def over() -> Any:
            saga = await self.saga(order_id)
            return saga if saga["stage"] in ENDED else None

        return await until(over, seconds)

    async def track(self, order_id: str, *milestones: str, **facts: str) -> None:
        """Report milestones for every parcel of an order."""
        for parcel in (await self.get("/v1/admin/shipments", order_id=order_id))["items"]:
            for milestone in milestones:
                url = f"/v1/admin/shipments/{parcel['id']}/tracking-events"
                await self.post(url, {"type": milestone, **facts})


@dataclass
class Buyer:
    """A buyer with a cart: a guest, or a customer once signed in."""

    http: httpx.AsyncClient
    staff: Staff
    email: str = ""
    cart_id: str = ""
    cart_token: str = ""
    access_token: str = ""
    order_token: str = ""

    def __post_init__(self) -> None:
        self.email = self.email or f"{secrets.token_hex(5)}@example.com"

    @property
    def headers(self) -> dict[str, str]:
        """Whatever this buyer can show."""
        shown = {}
        if self.access_token:
            shown["Authorization"] = f"Bearer {self.access_token}"
        if self.cart_token and not self.access_token:
            shown["X-Cart-Token"] = self.cart_token
        if self.order_token:
            shown["X-Order-Token"] = self.order_token
        return shown

    async def fill(self, *wanted: tuple[Product, int]) -> None:
        """Make a cart with products in it."""
        items = [{"variant_id": p.variant_id, "quantity": n} for p, n in wanted]
        body = {"items": items} if self.access_token else {"items": items, "email": self.email}
        cart = ok(await self.http.post("/v1/carts", json=body, headers=self.headers))
        self.cart_id, self.cart_token = cart["id"], cart.get("cart_token") or ""

    def order(self, **changes: Any) -> dict[str, Any]:
        """The complete body of a checkout."""
        return {
            "cart_id": self.cart_id,
            "payment": PAYMENT,
            "shipping_address": ADDRESS,
            "shipping_method_id": self.staff.shipping_method_id,
            **changes,
        }

    async def check_out(
        self, *, wait: int = 20, idempotency_key: str = "", **changes: Any
    ) -> httpx.Response:
        """POST /v1/orders; remembers the order token."""
        headers = {**self.headers, **key(), "Prefer": f"wait={wait}"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        if not wait:
            del headers["Prefer"]
        answer = await self.http.post("/v1/orders", json=self.order(**changes), headers=headers)
        if answer.is_success:
            self.order_token = answer.json().get("order_token") or self.order_token
        return answer

    async def buys(self, product: Product, quantity: int = 1, **changes: Any) -> Any:
        """Fill a cart and check it out; the order as answered."""
        await self.fill((product, quantity))
        return ok(await self.check_out(**changes))

    async def sign_up(self) -> None:
        """Register and log in."""
        names = {"first_name": "Ada", "last_name": "Byron"}
        password = f"{secrets.token_hex(12)} dandelions"
        body = {"email": self.email, "password": password, **names}
        ok(await self.http.post("/v1/auth/register", json=body))
        self.access_token = await sign_in(self.http, self.email, password)

    async def read(self, order_id: str) -> Any:
        """The buyer's own order."""
        return ok(await self.http.get(f"/v1/orders/{order_id}", headers=self.headers))

    async def cancel(self, order_id: str) -> httpx.Response:
        """Ask for the order to be cancelled."""
        url = f"/v1/orders/{order_id}/cancellation"
        return await self.http.post(url, json={}, headers={**self.headers, **key()})

    async def reaches(self, order_id: str, status: str, seconds: float = WAIT_LIMIT) -> Any:
        """The order once it has a status."""

        async def there() -> Any:
            order = await self.read(order_id)
            return order if order["status"] == status else None

        return await until(there, seconds)

    async def answers_provider(self, order_id: str, word: str) -> None:
        """Press `confirm` or `decline` on the page the provider sends the customer to."""
        url = (await self.payment(order_id))["next_action"]["url"]
        assert (await self.http.get(url)).status_code == 200
        answer = await self.http.post(f"{url}/{word}")
        assert answer.status_code == 303, answer.text

    async def payment(self, order_id: str) -> Any:
        """The payment of an order, with what the customer must do."""
        found = ok(
            await self.http.get("/v1/payments", params={"order_id": order_id}, headers=self.headers)
        )
        items = found["items"] if isinstance(found, dict) else found
        return items[0] if items else None


async def sign_in(http: httpx.AsyncClient, email: str, password: str) -> str:
    """An access token."""
    body = {"email": email, "password": password}
    return str(ok(await http.post("/v1/auth/login", json=body))["access_token"])


async def staff_of(instance: Instance, http: httpx.AsyncClient) -> Staff:
    """The administrator of a running suite, signed in."""
    password = instance.environment.secrets["admin:password"]
    return Staff(http, await sign_in(http, ADMIN_EMAIL, password))
