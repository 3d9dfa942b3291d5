"""Every message class by its type name, so that a consumer can decode what it receives."""

import importlib

from contracts.message import MESSAGES, Message

# The modules of the services, which define their messages.
OWNERS = (
    # [template]
    # {% for name in message_owners %}
    # "[[ name ]]",
    # {% endfor %}
    # [rendered]
    "identity",
    "catalog",
    "cart",
    "promotions",
    "orders",
    "payments",
    "inventory",
    "shipping",
    "notifications",
    # [end]
)

__all__ = ["MESSAGES", "OWNERS", "all_messages", "find"]


def find(type_name: str) -> type[Message] | None:
    """The class of a type name such as `cartwright.orders.OrderPlaced.v1`, or None."""
    return MESSAGES.get(type_name)


def all_messages() -> dict[str, type[Message]]:
    """Every message of every service, after importing the modules that define them."""
    for owner in OWNERS:
        importlib.import_module(f"contracts.{owner}")
    return MESSAGES
