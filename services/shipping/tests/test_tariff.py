"""Zones and prices of a method."""

from typing import Any

import pytest

from shipping.domain.methods import Tariff

ZONES = [{"country": "US", "states": ["CA"]}, {"country": "DE", "states": []}]
BY_WEIGHT: list[dict[str, Any]] = [
    {"up_to": 1000, "price_amount": 300},
    {"up_to": 5000, "price_amount": 700},
]
BY_VALUE: list[dict[str, Any]] = [
    {"up_to": 5000, "price_amount": 590},
    {"up_to": None, "price_amount": 390},
]


@pytest.mark.parametrize(
    ("country", "state", "is_served"),
    [
        ("US", "CA", True),
        ("US", "TX", False),
        ("US", None, False),
        ("DE", None, True),
        ("DE", "BY", True),
        ("FR", None, False),
    ],
)
def test_a_zone_without_states_covers_the_whole_country(
    country: str,
    state: str | None,
    is_served: bool,  # noqa: FBT001
) -> None:
    assert Tariff(ZONES, "value", BY_VALUE).serves(country, state) is is_served


@pytest.mark.parametrize(
    ("weight", "price"), [(0, 300), (1000, 300), (1001, 700), (5000, 700), (5001, None)]
)
def test_the_price_follows_the_weight_up_to_the_last_tier(weight: int, price: int | None) -> None:
    assert Tariff(ZONES, "weight", BY_WEIGHT).price(1, weight) == price


@pytest.mark.parametrize(("subtotal", "price"), [(5000, 590), (5001, 390), (9999, 390), (10000, 0)])
def test_shipping_is_free_from_the_threshold_on(subtotal: int, price: int) -> None:
    assert Tariff(ZONES, "value", BY_VALUE, 10000).price(subtotal, 0) == price


def test_the_last_tier_also_limits_free_shipping() -> None:
    assert Tariff(ZONES, "weight", BY_WEIGHT, 0).price(10, 9999) is None
