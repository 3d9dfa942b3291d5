"""The sample shop: seeded through the public API, and verified by a first order.

`seeding.seed` and `story.first_order` are its two halves; the runner calls `seed_and_order` once a
suite is up. `shop.toml` holds the data, with which the bench and the tests sell and buy too.
"""

import asyncio
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from suite.environment import ADMIN_EMAIL
from suite.shop import seeding, story
from suite.shop.people import logins_of
from suite.shop.seeding import Shop


def seed_and_order(address: str, password: str, report: Callable[[str], None]) -> None:
    """Fill the shop behind a gateway, place an order, print its steps and the logins."""
    asyncio.run(seeding.seed(address, ADMIN_EMAIL, password, report))
    shop = Shop(logins_of(ADMIN_EMAIL, password))
    asyncio.run(story.first_order(address, shop, report))
    Console(highlight=False).print(_table_of(shop))


def _table_of(shop: Shop) -> Table:
    table = Table(title="Logins", title_justify="left")
    for heading in ("role", "e-mail", "password"):
        table.add_column(heading)
    for login in shop.logins:
        table.add_row(login.role, login.email, login.password)
    return table
