"""The sample shop on the running suite: made once, whole, and open for business."""

from typing import Any

import httpx

from invariants import InvariantChecker
from operator_cli import OperatorCli
from shopfloor import Staff
from suite.environment import ADMIN_EMAIL
from suite.instance import Instance
from suite.shop import seeding, story
from suite.shop.gateway import Gateway


async def seeded(instance: Instance) -> seeding.Shop:
    password = instance.environment.secrets["admin:password"]
    steps: list[str] = []
    shop = await seeding.seed(instance.url("gateway"), ADMIN_EMAIL, password, steps.append)
    assert steps
    return shop


async def contents(staff: Staff) -> dict[str, Any]:
    """What a second seeding could double or fill up again."""
    lists = ("categories", "warehouses", "shipping-methods", "coupons", "tax-rates", "users")
    listed = {name: await staff.get(f"/v1/admin/{name}", limit=100) for name in lists}
    counted = {name: len(answer["items"]) for name, answer in listed.items()}
    return counted | {"facets": (await staff.get("/v1/products", facets="true"))["facets"]["price"]}


async def test_the_sample_shop_is_made_once_and_sells(
    instance: Instance, http: httpx.AsyncClient, staff: Staff, at_rest: InvariantChecker
) -> None:
    shop = await seeded(instance)
    before = await contents(staff)
    assert len(shop.product_ids) == 300

    desk = OperatorCli(instance.url("gateway"), staff.token)
    desk.passwords["CARTWRIGHT_PASSWORD"] = shop.admin.password
    again = await desk.json("seed", "--url", desk.url, "--email", ADMIN_EMAIL)
    assert again["products"] == len(shop.product_ids)
    assert [each["email"] for each in again["logins"]] == [each.email for each in shop.logins]
    assert await contents(staff) == before

    steps: list[str] = []
    order = await story.first_order(instance.url("gateway"), shop, steps.append)
    assert order["order_number"] in steps[-1]
    assert order["status"] == "confirmed"
    for login in shop.logins:
        someone = await Gateway.logged_in(http, login.email, login.password)
        assert login.role in (await someone.get("/v1/me"))["roles"]
