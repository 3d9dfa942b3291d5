"""The sample shop: seeded through the public API, and proven by a first order.

`seeding.seed` and `story.first_order` are its two halves; `open_for_business` is what the runner
calls once a suite is up, and `seed` fills an instance for tests.
"""

import asyncio
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from suite.environment import ADMIN_EMAIL
from suite.instance import Instance
from suite.shop import seeding, story
from suite.shop.people import Login, logins_of
from suite.shop.seeding import Shop

__all__ = ["Login", "Shop", "open_for_business", "seed"]


def seed(suite: Instance) -> Shop:
    """Fill the shop of an instance; a second time changes nothing."""
    password = suite.environment.secrets["admin:password"]
    return asyncio.run(
        seeding.seed(suite.url("gateway"), ADMIN_EMAIL, password, suite.report),
    )


def open_for_business(address: str, password: str, report: Callable[[str], None]) -> None:
    """Fill the shop behind a gateway, place an order, print its story, and who can log in."""
    asyncio.run(seeding.seed(address, ADMIN_EMAIL, password, report))
    shop = Shop(logins_of(ADMIN_EMAIL, password))
    asyncio.run(story.first_order(address, shop, report))
    Console(highlight=False).print(_table_of(shop))


def _table_of(shop: Shop) -> Table:
    table = Table(title="Who can log in", title_justify="left")
    for heading in ("role", "e-mail", "password"):
        table.add_column(heading)
    for login in shop.logins:
        table.add_row(login.role, login.email, login.password)
    return table
