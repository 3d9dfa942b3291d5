"""The generated clients, each buying something through the gateway."""

import re

import pytest

from invariants import InvariantChecker
from shopfloor import Staff
from suite.instance import Instance
from suite.sdk import Sdk


@pytest.mark.parametrize("language", ["python", "typescript"])
async def test_a_generated_client_plays_the_whole_checkout(
    language: str, clients: Sdk, instance: Instance, staff: Staff, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=5)
    slug = (await staff.get(f"/v1/admin/products/{product.id}"))["slug"]

    bought, refused = clients.run_example(language, instance.url("gateway"), slug).splitlines()

    assert re.fullmatch(r"2[0-9]{3}-[0-9]{6} confirmed 4500 USD", bought)
    # Which of them depends on whether cart has handled the order's end yet.
    assert refused in ("409 cart_locked", "409 cart_converted", "409 cart_already_ordered")
