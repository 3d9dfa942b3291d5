"""The rules of an open cart, without any database."""

from datetime import timedelta
from typing import Any

import pytest

from cart.domain import cart as rules
from cart.domain.cart import Cart, CustomizationRefused, Wanted, check_customization
from cart.domain.pricing import Offer, effective_price
from chassis.ids import new_id, utcnow
from contracts.money import MAX_AMOUNT

NOW = utcnow()


def new_cart(**changes: Any) -> Cart:
    known: dict[str, Any] = dict.fromkeys(
        (
            "customer_id", "email", "coupon_code", "shipping_address", "billing_address",
            "shipping_method_id", "order_id", "locked", "merged_into",
        )
    )  # fmt: skip
    return Cart(
        **{**known, "id": new_id(), "currency": "USD", "status": "active", "version": 1, **changes}
    )


def offer(**changes: Any) -> Offer:
    known: dict[str, Any] = {
        "variant_id": new_id(),
        "product_id": new_id(),
        "seller_id": None,
        "sku": "S",
        "product_name": "Shirt",
        "variant_description": "Red",
        "category_ids": (),
        "currency": "USD",
        "unit_price_amount": 1000,
        "is_available": True,
        "available": 50,
        "lead_time_days": 0,
        "customization_fields": (),
    }
    return Offer(**{**known, **changes})


def add(cart: Cart, sold: Offer | None, quantity: int = 1, **customization: str) -> Any:
    wanted = Wanted(sold.variant_id if sold else new_id(), quantity, customization)
    return cart.add(wanted, sold, new_id(), NOW)


def test_adding_a_variant_again_sums_the_quantities() -> None:
    cart, shirt = new_cart(), offer()
    add(cart, shirt, 2)
    assert add(cart, shirt, 3).quantity == 5
    assert len(cart.lines) == 1


def test_another_customization_is_another_line() -> None:
    cart = new_cart()
    ring = offer(customization_fields=[{"name": "engraving", "type": "text"}])
    add(cart, ring, 1, engraving="Ada")
    add(cart, ring, 1)
    add(cart, ring, 1, engraving="Ada")
    assert [line.quantity for line in cart.lines] == [2, 1]


@pytest.mark.parametrize(
    ("sold", "refusal"),
    [
        (None, rules.VariantUnknown),
        (offer(is_available=False), rules.VariantUnavailable),
        (offer(currency="EUR"), rules.CurrencyMismatch),
        (offer(available=1), rules.InsufficientStock),
        (offer(unit_price_amount=MAX_AMOUNT), rules.CartFull),
    ],
)
def test_a_variant_that_cannot_be_sold_is_refused(
    sold: Offer | None, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        add(new_cart(), sold, 2)


def test_a_line_holds_at_most_99_pieces() -> None:
    cart, shirt = new_cart(), offer(available=1000)
    add(cart, shirt, 99)
    with pytest.raises(rules.QuantityLimit):
        add(cart, shirt, 1)


def test_stock_is_counted_over_all_lines_of_a_variant() -> None:
    cart = new_cart()
    ring = offer(available=3, customization_fields=[{"name": "engraving", "type": "text"}])
    add(cart, ring, 2, engraving="Ada")
    with pytest.raises(rules.InsufficientStock):
        add(cart, ring, 2)


def test_fewer_pieces_are_always_allowed() -> None:
    cart, shirt = new_cart(), offer(available=9)
    line = add(cart, shirt, 9)
    line.offer = offer(variant_id=shirt.variant_id, available=0, is_available=False)
    cart.set_quantity(line, 3)
    assert line.quantity == 3
    with pytest.raises(rules.VariantUnavailable):
        cart.set_quantity(line, 4)


def test_a_cart_is_sold_whole_or_not_at_all() -> None:
    cart = new_cart()
    with pytest.raises(rules.CartEmpty):
        cart.ensure_sellable()
    line = add(cart, offer())
    cart.ensure_sellable()
    line.offer = None
    with pytest.raises(rules.LineUnavailable):
        cart.ensure_sellable()
    line.offer = offer(available=0, variant_id=line.variant_id)
    with pytest.raises(rules.InsufficientStock):
        cart.ensure_sellable()
    line.offer = offer(currency="EUR", variant_id=line.variant_id)
    with pytest.raises(rules.CurrencyMismatch):
        cart.ensure_sellable()


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        ("locked", rules.CartLocked),
        ("converted", rules.CartConverted),
        ("abandoned", rules.CartExpired),
    ],
)
def test_a_closed_cart_is_refused_with_its_reason(status: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        new_cart(status=status).ensure_active()


FIELDS = [
    {"name": "engraving", "type": "text", "required": True, "max_length": 5},
    {"name": "size", "type": "number"},
]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"engraving": ""},
        {"engraving": "too long"},
        {"engraving": "Ada", "size": "big"},
        {"x": "y"},
    ],
)
def test_a_customization_outside_the_products_rules_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(CustomizationRefused):
        check_customization(offer(customization_fields=FIELDS), given)


def test_a_customization_within_the_rules_is_accepted() -> None:
    sold = offer(customization_fields=FIELDS)
    check_customization(sold, {"engraving": "Ada", "size": "4.5"})
    check_customization(offer(), {})


def test_the_discount_price_applies_inside_its_window() -> None:
    later, earlier = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
    assert effective_price(100, None, None, None, NOW) == 100
    assert effective_price(100, 80, None, None, NOW) == 80
    assert effective_price(100, 80, earlier, later, NOW) == 80
    assert effective_price(100, 80, later, None, NOW) == 100
    assert effective_price(100, 80, None, NOW, NOW) == 100
