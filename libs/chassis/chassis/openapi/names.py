"""What operations are called: `orders_place`, `carts_add_item`, `admin_sagas_list`."""

import re
from typing import Protocol

# Who a path is for stands before what it is about.
QUALIFIERS = ("admin", "internal", "ops")
VERSION = re.compile(r"v[0-9]+")


class Named(Protocol):
    """What a name is made of: a route."""

    path_format: str
    name: str


def group(path: str) -> str:
    """What a path is about: `/v1/admin/stock/{variant_id}` is about `admin_stock`."""
    words = []
    for part in path.strip("/").split("/"):
        if VERSION.fullmatch(part) or part.startswith("{"):
            continue
        words.append(re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_"))
        if part not in QUALIFIERS:
            break
    return "_".join(words) or "service"


def operation_id(route: Named) -> str:
    """The group and what is done there, without saying again what the group says already."""
    about = group(route.path_format)
    return f"{about}_{_without(route.name, about)}"


def _without(name: str, about: str) -> str:
    """A function's name without the group's noun: `place_order` of `orders` is `place`."""
    nouns = [about.removeprefix("admin_").removeprefix("internal_"), about.rpartition("_")[2]]
    for noun in nouns:
        for form in (noun, _singular(noun)):
            shorter = re.sub(rf"_{form}(?=_|$)", "", name, count=1)
            if shorter != name:
                return shorter
    return name


def _singular(noun: str) -> str:
    for plural, singular in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if noun.endswith(plural):
            return noun.removesuffix(plural) + singular
    return noun
