"""Card numbers are found however they are written, and identifiers are not taken for them."""

import pytest

from chassis.ids import new_id
from payments.domain.card_number import holds_card_number


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
    assert holds_card_number(text)


@pytest.mark.parametrize("text", ["", "tok_ok", "4242424242424241", "424242424242", "2026-11-21"])
def test_other_text_is_let_through(text: str) -> None:
    assert not holds_card_number(text)


def test_an_identifier_is_no_card_number() -> None:
    assert not any(holds_card_number(f"order {new_id()}") for _ in range(2000))
