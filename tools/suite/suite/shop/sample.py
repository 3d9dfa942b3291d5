"""The data of the sample shop, read from `shop.toml`: the one source of runner, bench and tests."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]


@dataclass(frozen=True)
class Shelf:
    """A category of the third level and the words of its products."""

    path: list[str]
    nouns: list[str]
    materials: list[str]
    price: list[int]
    uses: list[str]
    sizes: list[str] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)
    size_name: str = "Size"
    step: int = 0
    lead_time_days: int = 0
    engraved: str = ""


SHOP: Final[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("shop.toml").read_text())
CURRENCY: Final[str] = SHOP["currency"]
ADDRESS: Final[Row] = SHOP["address"]
PAYMENT: Final[Row] = SHOP["payment"]
PEOPLE: Final[list[Row]] = SHOP["people"]
WAREHOUSES: Final[list[Row]] = SHOP["warehouses"]
SHIPPING_PROVIDERS: Final[list[Row]] = SHOP["shipping_providers"]
SHIPPING_METHODS: Final[list[Row]] = SHOP["shipping_methods"]
COUPONS: Final[list[Row]] = SHOP["coupons"]
TAX_RATES: Final[list[Row]] = SHOP["tax_rates"]
WORDS: Final[dict[str, list[str]]] = SHOP["words"]
SHELVES: Final = [Shelf(**row) for row in SHOP["shelves"]]


def product(sku: str, **changes: Any) -> Row:
    """The body of a plain product with one variant, for the bench and the tests."""
    named = {"name": f"Sample {sku}", "slug": sku.lower(), "variants": [{"sku": sku}]}
    return {**SHOP["product"], **named, **changes}
