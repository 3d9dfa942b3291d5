"""A whole guest checkout: a product into a cart, an order out of it, and what a refusal looks like.

    python examples/checkout.py http://127.0.0.1:18400 [SLUG]

Takes the product with this slug, or the first one in stock.
"""

import sys
import uuid
from typing import Any, TypeVar

from cartwright_client import Client
from cartwright_client.api.carts import carts_create
from cartwright_client.api.orders import orders_get, orders_place
from cartwright_client.api.products import products_get, products_list
from cartwright_client.api.shipping_methods import shipping_methods_list
from cartwright_client.models import (
    CheckoutBody,
    CreatedCartView,
    NewCart,
    OrdersAddressBody,
    OrderView,
    PaymentBody,
    Problem,
    ProductList,
    ProductPage,
    RatesView,
    WantedBody,
)
from cartwright_client.types import UNSET

T = TypeVar("T")

ADDRESS = OrdersAddressBody(
    recipient_name="Ada Byron",
    line1="12 Analytical Way",
    city="Portland",
    state="OR",
    postal_code="97201",
    country="US",
)


def expect(kind: type[T], answer: Any) -> T:
    """The answer, if it is of this kind; a refusal ends the program with its code and words."""
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, Problem):
        sys.exit(f"{answer.status} {answer.code}: {answer.detail}")
    sys.exit(f"unexpected answer: {answer!r}")


def choose(shop: Client, slug: str | None) -> uuid.UUID:
    """The first variant that can be had of a product."""
    if slug is None:
        found = expect(ProductList, products_list.sync(client=shop, limit=1))
        slug = found.items[0].slug
    page = expect(ProductPage, products_get.sync(slug, client=shop))
    return next(each.id for each in page.variants if each.availability != "out_of_stock")


def main(url: str, slug: str | None) -> None:
    """Buy two pieces, read the order, and see what becomes of a cart that is ordered twice."""
    # The gateway holds a request with `Prefer: wait` for that long, so the client sets no timeout.
    shop = Client(base_url=url, timeout=None)
    wanted = WantedBody(variant_id=choose(shop, slug), quantity=2)
    body = NewCart(items=[wanted], email="ada@example.com")
    cart = expect(CreatedCartView, carts_create.sync(client=shop, body=body))
    ways = shipping_methods_list.sync(client=shop, country="US", state="OR", currency="USD")
    checkout = CheckoutBody(
        cart_id=cart.id,
        payment=PaymentBody(method="card", token="tok_ok"),
        shipping_address=ADDRESS,
        shipping_method_id=expect(RatesView, ways).methods[0].id,
    )

    def place() -> OrderView | Problem | None:
        # A key of its own for each purchase: repeated with the same one, it is answered the same.
        return orders_place.sync(
            client=shop,
            body=checkout,
            idempotency_key=str(uuid.uuid4()),
            x_cart_token=cart.cart_token or UNSET,
            prefer="wait=20",
        )

    placed = expect(OrderView, place())
    read = orders_get.sync(placed.id, client=shop, x_order_token=placed.order_token or UNSET)
    order = expect(OrderView, read)
    print(f"{order.order_number} {order.status} {order.total.amount} {order.total.currency}")

    again = expect(Problem, place())
    print(f"{again.status} {again.code}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
