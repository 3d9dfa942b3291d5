"""Promotions on a database of its own, and coupons created through its API."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from promotions.main import service
from promotions.settings import PromotionsSettings
from testkit.harness import Harness, running_service, template_of

MakeCoupon = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest_asyncio.fixture
async def promotions(template: str) -> AsyncIterator[Harness[PromotionsSettings]]:
    async for harness in running_service(service, template, shop_time_zone="Pacific/Auckland"):
        yield harness


@pytest.fixture
def staff(promotions: Harness[Any]) -> dict[str, str]:
    return promotions.signed_in(permissions=("promotions:read", "promotions:write"))


@pytest.fixture
def make_coupon(promotions: Harness[Any], staff: dict[str, str]) -> MakeCoupon:
    async def make(**changes: Any) -> dict[str, Any]:
        body = {"code": "Tea10", "discount_type": "percentage", "value": 1000, **changes}
        answer = await promotions.client.post("/v1/admin/coupons", json=body, headers=staff)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return make
