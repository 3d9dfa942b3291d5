"""Names of operations: `orders_place`, `carts_add_item`, `admin_sagas_list`."""

import re
from typing import Protocol

# The audience precedes the resource in a path.
QUALIFIERS = ("admin", "internal", "ops")
VERSION = re.compile(r"v[0-9]+")


class Named(Protocol):
    """A route, as far as names need it."""

    path_format: str
    name: str


def group(path: str) -> str:
    """The resource of a path: `admin_stock` for `/v1/admin/stock/{variant_id}`."""
    words = []
    for part in path.strip("/").split("/"):
        if VERSION.fullmatch(part) or part.startswith("{"):
            continue
        words.append(re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_"))
        if part not in QUALIFIERS:
            break
    return "_".join(words) or "service"


def operation_id(route: Named) -> str:
    """The resource and the action, without the resource's noun in the action."""
    about = group(route.path_format)
    return f"{about}_{_without(route.name, about)}"


def _without(name: str, about: str) -> str:
    """A function's name without the resource's noun: `place` for `place_order` of `orders`."""
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
