"""The sample shop's categories and products, generated from its words, the same each time."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from suite.shop.sample import CURRENCY, SHELVES, WORDS, Shelf

SEED = 20_261_121
PRODUCTS_A_SHELF = 12
IMAGES = "https://images.cartwright.example/products"


@dataclass(frozen=True)
class SampleProduct:
    """The body of a product, its category by slug, and its stock by SKU.

    stock: whole pieces in the first warehouses, by SKU.
    """

    category: str
    body: dict[str, Any]
    stock: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The slug, by which an existing product is found."""
        slug: str = self.body["slug"]
        return slug


def slug_of(text: str) -> str:
    """Convert a text into a slug."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("'", "")).strip("-")


def category_levels() -> list[list[dict[str, Any]]]:
    """The categories by level; `parent` is the slug of the parent, absent at the top."""
    levels: list[dict[str, dict[str, Any]]] = [{}, {}, {}]
    for shelf in SHELVES:
        above = None
        for level, name in zip(levels, shelf.path, strict=True):
            entry = {"name": name, "slug": slug_of(name), "display_order": len(level)}
            entry |= {"parent": above} if above else {}
            above = level.setdefault(name, entry)["slug"]
    return [list(level.values()) for level in levels]


def products() -> list[SampleProduct]:
    """Return all products, the same for the same tables."""
    chance = random.Random(SEED)  # noqa: S311  (sample data, no secret)
    return [product for shelf in SHELVES for product in _of_shelf(shelf, chance)]


def _of_shelf(shelf: Shelf, chance: random.Random) -> Iterator[SampleProduct]:
    kinds = [(material, noun) for material in shelf.materials for noun in shelf.nouns]
    series = chance.sample(WORDS["series"], PRODUCTS_A_SHELF)
    for number, name in enumerate(series):
        material, noun = kinds[number % len(kinds)]
        yield _product(shelf, f"{name} {material} {noun}", chance)


def _product(shelf: Shelf, name: str, chance: random.Random) -> SampleProduct:
    slug = slug_of(name)
    price = _price(chance.randint(*shelf.price))
    sentences = [chance.choice(WORDS[each]) for each in ("openings", "middles", "closings")]
    body: dict[str, Any] = {
        "name": name,
        "slug": slug,
        "description": " ".join(sentences).format(use=chance.choice(shelf.uses)),
        "base_price": _money(price),
        "status": "active",
        "variants": _variants(shelf, slug, chance),
        "images": _images(slug, name),
    }
    if chance.random() < 1 / 6:
        body["discount_price"] = _money(_price(round(price / 100 * chance.choice((0.7, 0.8, 0.9)))))
    if shelf.engraved and chance.random() < 1 / 2:
        field_ = {"name": shelf.engraved, "type": "text", "max_length": 20}
        body |= {"is_customizable": True, "customization_fields": [field_]}
    stock = {variant["sku"]: _pieces(chance) for variant in body["variants"]}
    return SampleProduct(slug_of(shelf.path[2]), body, stock)


def _variants(shelf: Shelf, slug: str, chance: random.Random) -> list[dict[str, Any]]:
    """A variant for each size in each of some colours; prices rise with the sizes."""
    few = min(len(shelf.colours), chance.randint(1, 2 if shelf.sizes else 4))
    colours = chance.sample(shelf.colours, few) if few else [""]
    stem = "".join(part[:4] for part in slug.split("-"))[:18].upper()
    digits = chance.randrange(1000, 10_000)
    variants = []
    for place, size in enumerate(shelf.sizes or [""]):
        for colour in colours:
            marks = [slug_of(mark).upper() for mark in (size, colour) if mark]
            options = [
                {"name": option, "value": value}
                for option, value in ((shelf.size_name, size), ("Colour", colour))
                if value
            ]
            variants.append(
                {
                    "sku": "-".join([stem, str(digits), *marks])[:50],
                    "options": options,
                    "price_adjustment": _money(shelf.step * place * 100),
                    "lead_time_days": shelf.lead_time_days,
                }
            )
    return variants


def _images(slug: str, name: str) -> list[dict[str, Any]]:
    return [
        {
            "url": f"{IMAGES}/{slug}-{number}.jpg",
            "alt_text": f"{name}, {view}",
            "mime": "image/jpeg",
            "width": 1600,
            "height": 1600,
            "display_order": number,
        }
        for number, view in enumerate(("from the front", "in use"), start=1)
    ]


def _pieces(chance: random.Random) -> tuple[int, ...]:
    """Pieces in both warehouses: mostly many, sometimes few, rarely none."""
    luck = chance.random()
    if luck < 1 / 25:
        return 0, 0
    if luck < 1 / 8:
        return chance.randint(0, 5), chance.randint(1, 4)
    return chance.randint(20, 120), chance.randint(10, 80)


def _price(whole: int) -> int:
    """A price in cents: 38.90, or 120.00 from 100 on."""
    return whole * 100 - 10 if whole < 100 else whole * 100  # noqa: PLR2004


def _money(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": CURRENCY}
