"""Every message class by its type name, so that a consumer can decode what it is handed."""

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts.message import Message

ALL: "dict[str, type[Message]]" = {}


def register(message: "type[Message]") -> None:
    """Make a message class known; two classes may not share a type name."""
    name = message.type_name()
    if name in ALL and ALL[name].__qualname__ != message.__qualname__:
        raise TypeError(f"{name} is claimed by {ALL[name]} and by {message}")
    ALL[name] = message


def find(type_name: str) -> "type[Message] | None":
    """The class of a type name such as `cartwright.orders.OrderPlaced.v1`, or None."""
    return ALL.get(type_name)


def everything() -> "dict[str, type[Message]]":
    """Every message of every service, after importing all of the contracts."""
    package = importlib.import_module("contracts")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"contracts.{module.name}")
    return ALL
