"""The sample shop's tax rates, coupons, shipping providers and shipping methods."""

from typing import Any

from suite.shop.catalogue import CURRENCY
from suite.shop.gateway import Gateway, each

TAXES: tuple[tuple[str, str, int, bool], ...] = (
    # country, state, basis points, whether prices include it
    ("US", "CA", 725, False),
    ("US", "NY", 400, False),
    ("US", "TX", 625, False),
    ("US", "WA", 650, False),
    ("CA", "ON", 1300, False),
    ("GB", "", 2000, True),
    ("DE", "", 1900, True),
    ("FR", "", 2000, True),
)
COUPONS: tuple[dict[str, Any], ...] = (
    {
        "code": "WELCOME10",
        "description": "Ten per cent off a first order",
        "discount_type": "percentage",
        "value": 1000,
    },
    {
        "code": "TWENTY",
        "description": "20 off from 100 on",
        "discount_type": "fixed",
        "value": 2000,
        "currency": CURRENCY,
        "min_order_amount": 10_000,
    },
    {
        "code": "FREESHIP",
        "description": "Free shipping, once per customer",
        "discount_type": "free_shipping",
        "max_uses_per_customer": 1,
    },
)
PROVIDERS: tuple[dict[str, Any], ...] = (
    {
        "code": "parcelway",
        "name": "Parcelway",
        "adapter": "sandbox",
        "contact_email": "care@parcelway.example",
    },
    {
        "code": "local-courier",
        "name": "Local Courier",
        "adapter": "manual",
        "contact_phone": "+15035550142",
    },
)
AMERICA = [{"country": "US"}, {"country": "CA"}]
EUROPE = [{"country": country} for country in ("GB", "IE", "DE", "FR", "NL", "ES", "IT")]
METHODS: tuple[dict[str, Any], ...] = (
    {
        "provider": "parcelway",
        "name": "Standard",
        "zones": AMERICA,
        "priced_by": "value",
        "tiers": [{"up_to": 5000, "price_amount": 690}, {"price_amount": 490}],
        "free_over_amount": 15_000,
        "estimated_days": 4,
    },
    {
        "provider": "local-courier",
        "name": "Express",
        "zones": [{"country": "US"}],
        "priced_by": "value",
        "tiers": [{"price_amount": 1490}],
        "estimated_days": 1,
    },
    {
        "provider": "parcelway",
        "name": "International",
        "zones": EUROPE,
        "priced_by": "value",
        "tiers": [{"up_to": 10_000, "price_amount": 1990}, {"price_amount": 1490}],
        "estimated_days": 8,
    },
)


async def ensure_terms(staff: Gateway) -> str:
    """Create missing taxes, coupons and shipping; returns a summary line."""
    await _ensure_taxes(staff)
    await _ensure_coupons(staff)
    await _ensure_shipping(staff)
    return (
        f"{len(METHODS)} shipping methods of {len(PROVIDERS)} providers, "
        f"{len(COUPONS)} coupons, {len(TAXES)} tax rates"
    )


async def _ensure_taxes(staff: Gateway) -> None:
    path = "/v1/admin/tax-rates"
    known = {
        (row["country"], row["state"])
        async for row in staff.pages(path)
        if row["category_id"] is None
    }
    bodies = [
        {"country": country, "state": state, "rate_bps": rate, "prices_include_tax": included}
        for country, state, rate, included in TAXES
        if (country, state) not in known
    ]
    await each(bodies, lambda body: staff.post(path, body))


async def _ensure_coupons(staff: Gateway) -> None:
    path = "/v1/admin/coupons"
    known = {row["code"].upper() async for row in staff.pages(path)}
    bodies = [body for body in COUPONS if body["code"] not in known]
    await each(bodies, lambda body: staff.post(path, body))


async def _ensure_shipping(staff: Gateway) -> None:
    path = "/v1/admin/shipping-providers"
    ids = {row["code"]: row["id"] async for row in staff.pages(path)}
    for provider in PROVIDERS:
        if provider["code"] not in ids:
            ids[provider["code"]] = (await staff.post(path, provider))["id"]
    path = "/v1/admin/shipping-methods"
    known = {row["name"] async for row in staff.pages(path)}
    for method in METHODS:
        if method["name"] not in known:
            body = {name: value for name, value in method.items() if name != "provider"}
            body |= {"provider_id": ids[method["provider"]], "currency": CURRENCY}
            await staff.post(path, body)
