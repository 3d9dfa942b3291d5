"""Creates the sample shop's missing tax rates, coupons, shipping providers and shipping methods."""

from operator import itemgetter

from suite.shop.gateway import Gateway, ensure
from suite.shop.sample import (
    COUPONS,
    CURRENCY,
    SHIPPING_METHODS,
    SHIPPING_PROVIDERS,
    TAX_RATES,
    Row,
)


async def ensure_terms(staff: Gateway) -> str:
    """Create missing taxes, coupons and shipping; returns a summary line."""
    await ensure(staff, "/v1/admin/tax-rates", _tax_key, TAX_RATES)
    await ensure(staff, "/v1/admin/coupons", itemgetter("code"), COUPONS)
    await ensure_shipping(staff, SHIPPING_METHODS)
    return (
        f"{len(SHIPPING_METHODS)} shipping methods of {len(SHIPPING_PROVIDERS)} providers, "
        f"{len(COUPONS)} coupons, {len(TAX_RATES)} tax rates"
    )


async def ensure_shipping(staff: Gateway, methods: list[Row]) -> dict[str, str]:
    """Create missing providers and methods; returns the ids of the methods by name."""
    path, code = "/v1/admin/shipping-providers", itemgetter("code")
    providers = await ensure(staff, path, code, SHIPPING_PROVIDERS)
    bodies = [
        {
            **{name: value for name, value in method.items() if name != "provider"},
            "provider_id": providers[method["provider"]],
            "currency": CURRENCY,
        }
        for method in methods
    ]
    return await ensure(staff, "/v1/admin/shipping-methods", itemgetter("name"), bodies)


def _tax_key(row: Row) -> tuple[str, str, str | None]:
    return row["country"], row["state"], row.get("category_id")
