"""What the cart consumes: products, stock and the end of orders, in any order and more than once."""

from typing import Any
from uuid import UUID

from cart.main import service
from chassis.ids import new_id, utcnow
from contracts.catalog import (
    Price,
    ProductChanged,
    ProductSnapshot,
    ProductVariant,
    RequestProductSnapshots,
)
from contracts.money import Money
from contracts.orders import OrderCancelled, OrderConfirmed

from .shop import READY, Shop


def product(product_id: UUID, sequence: int, *variants: UUID, **changes: Any) -> ProductChanged:
    category = new_id()
    known: dict[str, Any] = {
        "slug": "shirt",
        "name": f"Shirt {sequence}",
        "status": "active",
        "category_id": category,
        "category_path": [category],
        "currency": "USD",
    }
    offered = [
        ProductVariant(
            variant_id=variant,
            sku=f"SKU-{variant.hex[-6:]}",
            description="Red",
            price=Price(price_amount=1000 + sequence),
            is_available=True,
        )
        for variant in variants
    ]
    event = ProductChanged(product_id=product_id, variants=offered, **{**known, **changes})
    return event.with_sequence(sequence)


async def offered(shop: Shop, variant: UUID) -> tuple[str, int, bool]:
    [row] = await shop.harness.sql(
        "select name, price_amount, is_available from variant_snapshots "
        "join product_snapshots using (product_id) where variant_id = :v",
        v=variant,
    )
    return tuple(row)


async def test_newer_products_are_stored_and_older_ones_ignored(shop: Shop) -> None:
    known, variant = new_id(), new_id()
    await shop.harness.deliver(product(known, 2, variant))
    await shop.harness.deliver(product(known, 1, variant))
    assert await offered(shop, variant) == ("Shirt 2", 1002, True)
    await shop.harness.deliver(product(known, 4, variant), product(known, 3, variant))
    assert await offered(shop, variant) == ("Shirt 4", 1004, True)


async def test_a_variant_no_longer_listed_becomes_unavailable(shop: Shop) -> None:
    known, first, second = new_id(), new_id(), new_id()
    await shop.harness.deliver(product(known, 1, first, second))
    await shop.harness.deliver(product(known, 3, second))
    await shop.harness.deliver(product(known, 2, first, second))
    assert (await offered(shop, first))[2] is False
    assert (await offered(shop, second))[2] is True
    await shop.harness.deliver(product(known, 4, first, second))
    assert (await offered(shop, first))[2] is True


async def test_one_batch_stores_many_products(shop: Shop) -> None:
    products = {new_id(): (new_id(), new_id()) for _ in range(10)}
    await shop.harness.deliver(*(product(known, 1, *pair) for known, pair in products.items()))
    [(count,)] = await shop.harness.sql("select count(*) from variant_snapshots")
    assert count == 20


async def test_the_newest_stock_is_stored_even_before_its_product(shop: Shop) -> None:
    known, variant = new_id(), new_id()
    await shop.harness.deliver(
        shop.stock(variant, known, 7).with_sequence(2),
        shop.stock(variant, known, 9).with_sequence(1),
    )
    await shop.harness.deliver(shop.stock(variant, known, 8).with_sequence(1))
    assert await shop.harness.sql("select available from stock_snapshots") == [(7,)]
    await shop.harness.deliver(product(known, 1, variant))
    cart = await shop.guest_cart((variant, 7))
    refused = await cart.request("POST", "/items", {"variant_id": str(variant), "quantity": 1})
    assert refused.json()["code"] == "insufficient_stock"


async def test_a_confirmed_order_converts_its_cart(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(), 1))
    order = new_id()
    await cart.lock(order, **READY)
    bought = OrderConfirmed(
        order_id=order,
        order_number="2026-000001",
        cart_id=UUID(cart.id),
        lines=[],
        total=Money(amount=1500, currency="USD"),
        payment_method="card",
        confirmed_at=utcnow(),
    )
    other = bought.model_copy(update={"order_id": new_id()})
    await shop.harness.deliver(other)
    assert (await cart.read())["status"] == "locked"
    for _ in range(2):
        await shop.harness.deliver(bought)
    view = await cart.read()
    assert view["status"] == "converted"
    assert view["total"]["amount"] == 1500
    refused = await cart.request("PATCH", "", {"email": None})
    assert (refused.status_code, refused.json()["code"]) == (409, "cart_converted")
    assert (await cart.lock(order)).status_code == 200
    assert (await cart.lock(new_id())).json()["code"] == "cart_converted"
    assert (await cart.unlock(order)).status_code == 204
    assert (await cart.read())["status"] == "converted"


async def test_a_snapshot_fills_an_empty_copy_and_never_overwrites_a_newer_state(
    shop: Shop,
) -> None:
    known, variant = new_id(), new_id()
    new = ProductSnapshot(**product(known, 3, variant).model_dump())
    await shop.harness.deliver(new.addressed_to("svc.cart", 3))
    assert await offered(shop, variant) == ("Shirt 3", 1003, True)
    await shop.harness.deliver(product(known, 5, variant))
    old = ProductSnapshot(**product(known, 4, variant).model_dump())
    await shop.harness.deliver(old.addressed_to("svc.cart", 4))
    assert await offered(shop, variant) == ("Shirt 5", 1005, True)


async def test_snapshots_are_requested_for_an_empty_copy_only(shop: Shop) -> None:
    (products,) = [
        each
        for each in service.sweeps_of(shop.harness.running)
        if each.name == "bootstrap of products"
    ]
    await shop.harness.sql("delete from variant_snapshots")
    await shop.harness.sql("delete from product_snapshots")
    await products.work(shop.harness.running.database)
    (request,) = await shop.harness.published(RequestProductSnapshots)
    assert request.reply_to == "svc.cart"
    await shop.harness.clear_outbox()
    await shop.harness.deliver(product(new_id(), 1, new_id()))
    await products.work(shop.harness.running.database)
    assert await shop.harness.published(RequestProductSnapshots) == []


async def test_a_converted_cart_stays_closed_in_any_order_of_events(
    shop: Shop,
) -> None:
    for is_late in (False, True):
        cart = await shop.guest_cart((await shop.sells(), 1))
        order, now = new_id(), utcnow()
        await cart.lock(order, **READY)
        facts: dict[str, Any] = {
            "order_id": order,
            "order_number": "2026-000001",
            "cart_id": UUID(cart.id),
            "confirmed_at": now,
        }
        total = Money(amount=1500, currency="USD")
        bought = OrderConfirmed(
            **facts, lines=[], total=total, payment_method="card"
        ).with_sequence(2)
        recalled = OrderCancelled(
            **facts, reason="customer_request", cancelled_at=now
        ).with_sequence(3)
        for event in (recalled, bought) if is_late else (bought, recalled):
            await shop.harness.deliver(event)
        assert (await cart.read())["status"] == "converted", is_late
