"""Creates the sample shop through the public API; idempotent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from suite.shop.gateway import Gateway, together
from suite.shop.goods import stock_shop
from suite.shop.people import Login, ensure_people
from suite.shop.terms import ensure_terms

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
