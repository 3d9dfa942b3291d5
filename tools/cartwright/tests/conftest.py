"""Fixtures of the subscriber library: a virtual host, a database and a publishing shop."""

from foreign import engine, shop, vhost

__all__ = ["engine", "shop", "vhost"]
