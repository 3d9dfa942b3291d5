"""Shipping with its own database; a provider and a method are created over its API."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from shipping.main import service
from shipping.settings import ShippingSettings
from testkit.harness import Harness, running_service, template_of

# The base64 of thirty bytes; it signs nothing outside these tests.
CARRIER_SECRET = "whsec_dGhpcnR5IGJ5dGVzIG9ubHkgZm9yIHRoZXNlIHRlc3Rz"


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest_asyncio.fixture
async def shipping(template: str) -> AsyncIterator[Harness[ShippingSettings]]:
    secrets = {"sandbox": CARRIER_SECRET}
    async for harness in running_service(service, template, carrier_webhook_secrets=secrets):
        yield harness


@pytest.fixture
def staff(shipping: Harness[Any]) -> dict[str, str]:
    return shipping.signed_in(permissions=("shipping:read", "shipping:write"))


@pytest_asyncio.fixture
async def provider_id(shipping: Harness[Any], staff: dict[str, str]) -> UUID:
    body = {"code": "sandbox", "name": "Sandbox Parcels", "adapter": "sandbox"}
    answer = await shipping.client.post("/v1/admin/shipping-providers", json=body, headers=staff)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


@pytest_asyncio.fixture
async def method_id(shipping: Harness[Any], staff: dict[str, str], provider_id: UUID) -> UUID:
    body = {
        "provider_id": str(provider_id),
        "name": "Standard",
        "zones": [{"country": "US", "states": ["CA", "NY"]}, {"country": "DE"}],
        "priced_by": "value",
        "tiers": [{"up_to": 5000, "price_amount": 590}, {"up_to": None, "price_amount": 390}],
        "currency": "USD",
        "free_over_amount": 10000,
        "estimated_days": 3,
    }
    answer = await shipping.client.post("/v1/admin/shipping-methods", json=body, headers=staff)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])
