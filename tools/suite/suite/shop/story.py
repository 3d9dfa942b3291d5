"""The first order: a guest's checkout through the gateway, and the steps of its saga."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from suite.shop.gateway import Gateway, ShopRefused, until
from suite.shop.sample import ADDRESS, CURRENCY, PAYMENT
from suite.shop.seeding import TIME_LIMIT, Shop

LINES = 2
ENDED = ("completed", "cancelled")
GUEST = "guest@cartwright.example"
NOT_YET = {"variant_unknown", "variant_unavailable", "insufficient_stock"}


async def first_order(url: str, shop: Shop, progress: Callable[[str], None]) -> dict[str, Any]:
    """Buy two products as a guest, wait until the saga has ended, and print its steps.

    Returns the guest's view of the order. Raises Refusal when a request fails.
    """
    async with httpx.AsyncClient(base_url=url, timeout=TIME_LIMIT) as http:
        admin = await Gateway.logged_in(http, shop.admin.email, shop.admin.password)
        cart = await _fill_cart(Gateway(http))
        progress(f"a cart with {len(cart['items'])} items for {_format(cart['subtotal'])}")
        order = await _check_out(Gateway(http), cart)
        progress(f"order {order['order_number']} is {order['status']}: {_format(order['total'])}")
        saga = await until("the saga ends", lambda: _ended(admin, order["id"]))
    Console(highlight=False).print(story_of(order, saga))
    return order


async def _fill_cart(guest: Gateway) -> dict[str, Any]:
    """Create a cart with one piece each of two products in stock."""

    async def chosen() -> list[dict[str, Any]] | None:
        found = await guest.get(
            "/v1/products", availability="in_stock", sort="price", limit=LINES, currency=CURRENCY
        )
        return found["items"] if len(found["items"]) == LINES else None

    async def wanted(card: dict[str, Any]) -> dict[str, Any]:
        page = await guest.get(f"/v1/products/{card['id']}")
        there = [each for each in page["variants"] if each["availability"] == "in_stock"]
        return {"variant_id": there[0]["id"], "quantity": 1}

    cards = await until("something is in stock", chosen)
    body = {"currency": CURRENCY, "items": [await wanted(card) for card in cards]}

    async def made() -> Any:
        try:
            return (await guest.request("POST", "/v1/carts", json=body)).json()
        except ShopRefused as refused:
            # The cart receives products and stock shortly after the catalogue.
            if refused.problem.get("code") in NOT_YET:
                return None
            raise

    cart: dict[str, Any] = await until("the cart knows the products", made)
    return cart


async def _check_out(guest: Gateway, cart: dict[str, Any]) -> dict[str, Any]:
    path, token = f"/v1/carts/{cart['id']}", {"X-Cart-Token": cart["cart_token"]}
    change = {"email": GUEST, "shipping_address": ADDRESS}
    await guest.request("PATCH", path, json=change, headers=token)
    offered = (await guest.request("GET", f"{path}/shipping-methods", headers=token)).json()[
        "methods"
    ]
    method = min(offered, key=lambda each: each["price"]["amount"])
    answer = await guest.request(
        "POST",
        "/v1/orders",
        json={
            "cart_id": cart["id"],
            "shipping_method_id": method["id"],
            "payment": PAYMENT,
        },
        headers={**token, "Idempotency-Key": secrets.token_hex(16), "Prefer": "wait=20"},
    )
    order: dict[str, Any] = answer.json()
    return order


async def _ended(admin: Gateway, order_id: str) -> dict[str, Any] | None:
    saga: dict[str, Any] = await admin.get(f"/v1/admin/sagas/{order_id}")
    return saga if saga["stage"] in ENDED else None


def story_of(order: dict[str, Any], saga: dict[str, Any]) -> Table:
    """The steps of the saga, each with the milliseconds since the order was placed."""
    placed_at = datetime.fromisoformat(order["placed_at"])
    table = Table(title=f"Order {order['order_number']}: {saga['stage']}", title_justify="left")
    table.add_column("ms", justify="right")
    for heading in ("stage", "received", "next stage", "sent"):
        table.add_column(heading)
    for step in saga["steps"]:
        passed = datetime.fromisoformat(step["at"]) - placed_at
        table.add_row(
            f"{max(passed.total_seconds(), 0) * 1000:.0f}",
            step["stage"],
            step["heard"],
            step["next_stage"],
            ", ".join(step["sent"]) or "–",
        )
    return table


def _format(money: dict[str, Any]) -> str:
    return f"{money['amount'] / 100:.2f} {money['currency']}"
