"""A shop on a broker and a database of these tests' own."""

from foreign import engine, shop, vhost

__all__ = ["engine", "shop", "vhost"]
