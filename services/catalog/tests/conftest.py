"""Catalog on its own database, and a shop that creates products by its API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from catalog.main import service
from catalog.settings import CatalogSettings
from testkit.harness import Harness, running_service, template_of


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest_asyncio.fixture
async def catalog(template: str) -> AsyncIterator[Harness[CatalogSettings]]:
    async for harness in running_service(service, template):
        yield harness


@pytest.fixture
def staff(catalog: Harness[Any]) -> dict[str, str]:
    return catalog.signed_in(permissions=("catalog:write",))


class Shop:
    """Creates categories and products as staff do."""

    def __init__(self, catalog: Harness[Any], staff: dict[str, str]) -> None:
        self.client = catalog.client
        self.staff = staff

    async def category(self, name: str = "Clothes", **fields: Any) -> dict[str, Any]:
        body = {"name": name, **fields}
        return await self.made("/v1/admin/categories", body)

    async def product(
        self, category: dict[str, Any], name: str = "Linen Shirt", **fields: Any
    ) -> Any:
        sku = name.upper().replace(" ", "-")
        body = {
            "category_id": category["id"],
            "name": name,
            "base_price": {"amount": 2000, "currency": "USD"},
            "status": "active",
            "variants": [{"sku": sku}],
            **fields,
        }
        return await self.made("/v1/admin/products", body)

    async def made(self, url: str, body: dict[str, Any]) -> Any:
        answer = await self.client.post(url, json=body, headers=self.staff)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def patch(self, url: str, version: int | None = None, **changes: Any) -> Any:
        headers = dict(self.staff)
        if version is None:
            version = (await self.client.get(url, headers=self.staff)).json()["version"]
        headers["If-Match"] = f'"{version}"'
        return await self.client.patch(url, json=changes, headers=headers)

    async def delete(self, url: str, version: int | None = None) -> Any:
        if version is None:
            version = (await self.client.get(url, headers=self.staff)).json()["version"]
        return await self.client.delete(url, headers={**self.staff, "If-Match": f'"{version}"'})


@pytest.fixture
def shop(catalog: Harness[Any], staff: dict[str, str]) -> Shop:
    return Shop(catalog, staff)
