"""The generated clients, each buying something through the gateway."""

import re
from pathlib import Path

import pytest

from invariants import Books
from shopfloor import Staff
from suite.instance import Instance
from suite.sdk import Sdk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clients() -> Sdk:
    """Both clients, built."""
    made = Sdk(ROOT, print)
    made.build()
    return made


@pytest.mark.parametrize("language", ["python", "typescript"])
async def test_a_generated_client_plays_the_whole_checkout(
    language: str, clients: Sdk, instance: Instance, staff: Staff, at_rest: Books
) -> None:
    product = await staff.sell(stock=5)
    slug = (await staff.get(f"/v1/admin/products/{product.id}"))["slug"]

    bought, refused = clients.run_example(language, instance.url("gateway"), slug).splitlines()

    assert re.fullmatch(r"2[0-9]{3}-[0-9]{6} confirmed 4500 USD", bought)
    # Which of them depends on whether the cart has heard of the order's end yet.
    assert refused in ("409 cart_locked", "409 cart_converted", "409 cart_already_ordered")
