"""The sample shop: seeded through the public API, and proven by a first order.

`seeding.seed` and `story.first_order` work on any gateway; the two functions here are what the
runner calls for an instance of its own.
"""

import asyncio

from rich.console import Console
from rich.table import Table

from suite.environment import ADMIN_EMAIL
from suite.instance import Instance
from suite.shop import seeding, story
from suite.shop.people import Login, logins_of
from suite.shop.seeding import Shop

__all__ = ["Login", "Shop", "first_order", "seed"]


def seed(suite: Instance) -> Shop:
    """Fill the shop of an instance; a second time changes nothing."""
    password = suite.environment.secrets["admin:password"]
    return asyncio.run(
        seeding.seed(suite.url("gateway"), ADMIN_EMAIL, password, suite.report),
    )


def first_order(suite: Instance) -> None:
    """Place an order in an instance, print its story, and then who can log in."""
    shop = Shop(logins_of(ADMIN_EMAIL, suite.environment.secrets["admin:password"]))
    asyncio.run(story.first_order(suite.url("gateway"), shop, suite.report))
    Console(highlight=False).print(_table_of(shop))


def _table_of(shop: Shop) -> Table:
    table = Table(title="Who can log in", title_justify="left")
    for heading in ("role", "e-mail", "password"):
        table.add_column(heading)
    for login in shop.logins:
        table.add_row(login.role, login.email, login.password)
    return table
