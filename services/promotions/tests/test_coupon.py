"""What a coupon takes off and when it can be used."""

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from promotions.domain import Limits, discount_on
from promotions.settings import PromotionsSettings, zone_of

DAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("value", "subtotal", "expected"),
    [
        (1000, 2000, 200),
        (10000, 1999, 1999),
        (1, 1, 0),
        (5000, 1, 0),
        (5000, 3, 2),
        (5000, 5, 2),
        (3333, 1000, 333),
        (10000, 10**15, 10**15),
        (1000, 0, 0),
    ],
)
def test_a_percentage_is_rounded_to_the_even_minor_unit(
    value: int, subtotal: int, expected: int
) -> None:
    assert discount_on("percentage", value, subtotal) == expected


def test_a_fixed_discount_is_never_more_than_the_lines_cost() -> None:
    assert discount_on("fixed", 500, 1200) == 500
    assert discount_on("fixed", 500, 300) == 300


def test_free_shipping_takes_nothing_off_the_lines() -> None:
    assert discount_on("free_shipping", None, 1200) == 0


@pytest.mark.parametrize(
    ("limits", "uses", "by_redeemer", "expected"),
    [
        (Limits("active", None, None, None, None), 10**9, 10**9, None),
        (Limits("disabled", None, None, None, None), 0, 0, "disabled"),
        (Limits("active", date(2026, 11, 22), None, None, None), 0, 0, "not_started"),
        (Limits("active", DAY, DAY, None, None), 0, 0, None),
        (Limits("active", None, date(2026, 11, 20), None, None), 0, 0, "ended"),
        (Limits("active", None, None, 3, None), 2, 2, None),
        (Limits("active", None, None, 3, None), 3, 0, "used_up"),
        (Limits("active", None, None, None, 2), 9, 1, None),
        (Limits("active", None, None, None, 2), 9, 2, "used_up_by_customer"),
    ],
)
def test_a_coupon_is_refused_for_a_reason(
    limits: Limits, uses: int, by_redeemer: int, expected: str | None
) -> None:
    assert limits.refusal(uses=uses, uses_by_redeemer=by_redeemer, today=DAY) == expected


def test_a_day_begins_in_the_shops_time_zone() -> None:
    late = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    assert late.astimezone(zone_of("UTC")).date() == date(2026, 11, 20)
    assert late.astimezone(zone_of("Europe/Berlin")).date() == date(2026, 11, 21)


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "/etc/localtime"])
def test_an_unknown_time_zone_is_refused_at_start(name: str) -> None:
    with pytest.raises(ValidationError, match="IANA time zone"):
        PromotionsSettings.model_validate({"shop_time_zone": name})
