"""Every message class by its type name, so that a consumer can decode what it is handed."""

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts.message import Message

MESSAGES: "dict[str, type[Message]]" = {}


def register(message: "type[Message]") -> None:
    """Make a message class known; two classes may not share a type name."""
    name = message.type_name()
    if name in MESSAGES and MESSAGES[name].__qualname__ != message.__qualname__:
        raise TypeError(f"{name} is claimed by {MESSAGES[name]} and by {message}")
    MESSAGES[name] = message


def find(type_name: str) -> "type[Message] | None":
    """The class of a type name such as `cartwright.orders.OrderPlaced.v1`, or None."""
    return MESSAGES.get(type_name)


def all_messages() -> "dict[str, type[Message]]":
    """Every message of every service, after importing all of the contracts."""
    package = importlib.import_module("contracts")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"contracts.{module.name}")
    return MESSAGES


# Former names, until no caller is left.
everything, ALL = all_messages, MESSAGES
