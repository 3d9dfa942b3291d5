"""Card numbers are found in every notation; identifiers are not mistaken for them."""

import pytest

from chassis.card_numbers import contains_card_number, passes_luhn
from chassis.ids import new_id


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "5555-5555-5555-4444",
        "378282246310005",
        "my card is 4000.0566.5566.5556!",
        "12345678 4242424242424242 99",
        "4222222222222",
    ],
)
def test_a_card_number_is_found(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize("text", ["", "tok_ok", "4242424242424241", "424242424242", "2026-11-21"])
def test_other_text_is_let_through(text: str) -> None:
    assert not contains_card_number(text)


def test_an_identifier_is_no_card_number() -> None:
    assert not any(contains_card_number(f"order {new_id()}") for _ in range(2000))


def test_the_check_digit_decides() -> None:
    assert passes_luhn([4, 2] * 8)
    assert not passes_luhn([*([4, 2] * 7), 4, 1])
