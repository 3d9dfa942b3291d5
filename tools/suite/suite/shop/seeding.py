"""Creates the sample shop through the public API; idempotent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from suite.shop.catalogue import category_levels
from suite.shop.gateway import Gateway, together
from suite.shop.goods import ensure_categories, ensure_warehouses, stock_shop
from suite.shop.people import Login, ensure_people
from suite.shop.sample import SHIPPING_METHODS
from suite.shop.terms import ensure_shipping, ensure_terms

TIME_LIMIT = httpx.Timeout(30.0)


@dataclass(frozen=True)
class Shop:
    """The sample shop: its logins, the administrator's first, and its products."""

    logins: Sequence[Login]
    product_ids: Sequence[str] = ()

    @property
    def admin(self) -> Login:
        """The administrator's login."""
        return self.logins[0]


@dataclass(frozen=True)
class Premises:
    """What any sale needs, by id; the category by its slug too."""

    category: str
    category_id: str
    warehouses: Sequence[str]
    shipping_method_id: str


async def open_premises(staff: Gateway) -> Premises:
    """Create the sample's first category, its warehouses and its first shipping method."""
    category, method = category_levels()[0][0], SHIPPING_METHODS[0]
    categories = await ensure_categories(staff, [[category]])
    methods = await ensure_shipping(staff, [method])
    return Premises(
        category["slug"],
        categories[category["slug"]],
        await ensure_warehouses(staff),
        methods[method["name"]],
    )


async def seed(
    url: str, admin_email: str, admin_password: str, progress: Callable[[str], None]
) -> Shop:
    """Fill the shop behind the gateway at `url`; `progress` receives one line per step.

    Raises Refusal with the shop's response to a failed request, or when a condition times out.
    """
    async with httpx.AsyncClient(base_url=url, timeout=TIME_LIMIT) as http:
        admin = await Gateway.logged_in(http, admin_email, admin_password)

        async def terms() -> None:
            progress(await ensure_terms(admin))

        async def people() -> Sequence[Login]:
            logins = await ensure_people(admin, admin_email, admin_password)
            progress(f"{len(logins)} people, one of each role")
            return logins

        logins, product_ids, _ = await together(people(), stock_shop(admin, progress), terms())
    return Shop(logins, product_ids)
