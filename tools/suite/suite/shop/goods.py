"""Putting the sample's categories, products and stock into the shop, as far as they are missing."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from suite.shop import catalogue
from suite.shop.catalogue import SampleProduct
from suite.shop.gateway import Gateway, ShopRefused, each, until

WAREHOUSES: tuple[dict[str, Any], ...] = (
    {
        "code": "EAST-1",
        "name": "Warehouse East",
        "priority": 1,
        "address": {
            "line1": "400 Dock Street",
            "city": "Newark",
            "state": "NJ",
            "postal_code": "07105",
            "country": "US",
        },
    },
    {
        "code": "WEST-1",
        "name": "Warehouse West",
        "priority": 2,
        "address": {
            "line1": "1200 Mill Road",
            "city": "Reno",
            "state": "NV",
            "postal_code": "89502",
            "country": "US",
        },
    },
)
PRODUCTS_AT_ONCE = 40
COUNTS_AT_ONCE = 500
Progress = Callable[[str], None]


async def stock_shop(staff: Gateway, progress: Progress) -> list[str]:
    """Make categories, products and warehouses, and count what is in them; returns product ids."""
    categories = await _keep_categories(staff)
    progress(f"{len(categories)} categories")
    warehouses = await _keep_warehouses(staff)
    sample = catalogue.products()
    products = await _keep_products(staff, sample, categories, progress)
    missing = await _missing_counts(staff, sample, products, warehouses)
    await each(batches(missing, COUNTS_AT_ONCE), lambda rows: _count(staff, rows))
    told = f"{len(missing)} counts" if missing else "nothing to count"
    progress(f"stock in {len(warehouses)} warehouses: {told}")
    return [product["id"] for product in products.values()]


def batches(rows: Sequence[Any], size: int) -> list[list[Any]]:
    """Rows in portions."""
    left = iter(rows)
    return [portion for _ in range(0, len(rows), size) if (portion := list(islice(left, size)))]


async def _keep_categories(staff: Gateway) -> dict[str, str]:
    """The ids of the sample's categories by slug."""
    listed = await staff.get("/v1/admin/categories")
    ids: dict[str, str] = {row["slug"]: row["id"] for row in listed["items"]}

    async def make(category: dict[str, Any]) -> None:
        body = {name: value for name, value in category.items() if name != "parent"}
        if "parent" in category:
            body["parent_id"] = ids[category["parent"]]
        ids[category["slug"]] = (await staff.post("/v1/admin/categories", body))["id"]

    for level in catalogue.category_levels():
        await each([category for category in level if category["slug"] not in ids], make)
    return ids


async def _keep_warehouses(staff: Gateway) -> list[str]:
    """The ids of both warehouses, in their order."""
    ids = {row["code"]: row["id"] async for row in staff.pages("/v1/admin/warehouses")}
    for body in WAREHOUSES:
        if body["code"] not in ids:
            ids[body["code"]] = (await staff.post("/v1/admin/warehouses", body))["id"]
    return [ids[body["code"]] for body in WAREHOUSES]


async def _keep_products(
    staff: Gateway,
    sample: Sequence[SampleProduct],
    categories: dict[str, str],
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """The sample's products by slug, as the catalogue shows them to staff."""
    found = {row["slug"]: row async for row in staff.pages("/v1/admin/products")}
    missing = [product for product in sample if product.slug not in found]

    async def make(products: list[SampleProduct]) -> None:
        items = [
            {**product.body, "category_id": categories[product.category]} for product in products
        ]
        made = await staff.post("/v1/admin/products/bulk", {"items": items})
        found.update({row["slug"]: row for row in made["items"]})
        progress(f"{len(found)} products")

    await each(batches(missing, PRODUCTS_AT_ONCE), make)
    return {product.slug: found[product.slug] for product in sample}


async def _missing_counts(
    staff: Gateway,
    sample: Sequence[SampleProduct],
    products: dict[str, dict[str, Any]],
    warehouses: Sequence[str],
) -> list[dict[str, Any]]:
    """What was never counted: stock that was sold meanwhile is not filled up again."""
    kept = {
        (item["variant_id"], item["warehouse_id"])
        async for row in staff.pages("/v1/admin/stock")
        for item in row["items"]
    }
    return [
        {
            "variant_id": variant["id"],
            "warehouse_id": warehouse,
            "sku": variant["sku"],
            "on_hand": pieces,
        }
        for product in sample
        for variant in products[product.slug]["variants"]
        for warehouse, pieces in zip(
            warehouses, product.stock.get(variant["sku"], (0, 0)), strict=True
        )
        if (variant["id"], warehouse) not in kept
    ]


async def _count(staff: Gateway, rows: list[dict[str, Any]]) -> None:
    """Count, as soon as inventory has heard of these variants."""
    body = {"items": rows, "reason": "opening stock"}

    async def counted() -> bool | None:
        try:
            await staff.post("/v1/admin/stock/bulk", body)
        except ShopRefused as refused:
            if refused.problem.get("code") == "variant_unknown":
                return None
            raise
        return True

    await until("inventory hears of new variants", counted)
