"""Creates the sample's missing categories, products and stock."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from suite.shop import catalogue
from suite.shop.catalogue import SampleProduct
from suite.shop.gateway import Gateway, ShopRefused, each, ensure, until
from suite.shop.sample import WAREHOUSES

PRODUCTS_AT_ONCE = 40
COUNTS_AT_ONCE = 500
Progress = Callable[[str], None]


async def stock_shop(staff: Gateway, progress: Progress) -> list[str]:
    """Create categories, products, warehouses and their stock; returns the product ids."""
    categories = await ensure_categories(staff, catalogue.category_levels())
    progress(f"{len(categories)} categories")
    warehouses = await ensure_warehouses(staff)
    products = await put_on_sale(staff, catalogue.products(), categories, warehouses, progress)
    return [product["id"] for product in products]


async def put_on_sale(
    staff: Gateway,
    sample: Sequence[SampleProduct],
    categories: dict[str, str],
    warehouses: Sequence[str],
    progress: Progress,
) -> list[dict[str, Any]]:
    """Create missing products and their stock; returns the staff's view of each, in order."""
    products = await _ensure_products(staff, sample, categories, progress)
    missing = await _missing_counts(staff, sample, products, warehouses)
    await each(batches(missing, COUNTS_AT_ONCE), lambda rows: _count(staff, rows))
    progress(f"stock in {len(warehouses)} warehouses: {len(missing)} new entries")
    return [products[product.slug] for product in sample]


def batches(rows: Sequence[Any], size: int) -> list[list[Any]]:
    """Split rows into batches of a size."""
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]


async def ensure_categories(
    staff: Gateway, levels: Iterable[list[dict[str, Any]]]
) -> dict[str, str]:
    """Create missing categories, level by level; returns the ids by slug."""
    ids: dict[str, str] = {}
    for level in levels:
        bodies = [_body(row, ids) for row in level]
        ids = await ensure(staff, "/v1/admin/categories", itemgetter("slug"), bodies)
    return ids


def _body(category: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    body = {name: value for name, value in category.items() if name != "parent"}
    return body | ({"parent_id": ids[category["parent"]]} if "parent" in category else {})


async def ensure_warehouses(staff: Gateway) -> list[str]:
    """Create missing warehouses; returns the ids in order."""
    ids = await ensure(staff, "/v1/admin/warehouses", itemgetter("code"), WAREHOUSES)
    return [ids[body["code"]] for body in WAREHOUSES]


async def _ensure_products(
    staff: Gateway,
    sample: Sequence[SampleProduct],
    categories: dict[str, str],
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Create missing products; returns the staff's view of each by slug."""
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
    """The stock entries that do not exist; existing ones are not replenished."""
    existing = {
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
        for warehouse, pieces in zip(warehouses, product.stock[variant["sku"]], strict=False)
        if (variant["id"], warehouse) not in existing
    ]


async def _count(staff: Gateway, rows: list[dict[str, Any]]) -> None:
    """Set stock, as soon as inventory has received these variants."""
    body = {"items": rows, "reason": "opening stock"}

    async def counted() -> bool | None:
        try:
            await staff.post("/v1/admin/stock/bulk", body)
        except ShopRefused as refused:
            if refused.problem.get("code") == "variant_unknown":
                return None
            raise
        return True

    await until("inventory receives new variants", counted)
