"""Tax rates: managed by staff, applied to carts."""

import asyncio
from typing import Any

from chassis.ids import new_id

from .shop import READY, Shop

STANDARD = {"country": "US", "rate_bps": 1000, "prices_include_tax": False}


class Staff:
    def __init__(self, shop: Shop) -> None:
        self.client = shop.client
        self.headers = shop.harness.signed_in(permissions=("tax:write",))

    async def request(self, method: str, path: str = "", body: Any = None, **headers: str) -> Any:
        return await self.client.request(
            method, f"/v1/admin/tax-rates{path}", json=body, headers={**self.headers, **headers}
        )


async def test_staff_create_change_and_delete_rates(shop: Shop) -> None:
    staff = Staff(shop)
    made = await staff.request("POST", "", STANDARD)
    assert made.status_code == 201, made.text
    url = f"/{made.json()['id']}"
    change = {"rate_bps": 800, "prices_include_tax": False}
    assert (await staff.request("PUT", url, change)).status_code == 428
    changed = await staff.request("PUT", url, change, **{"If-Match": made.headers["ETag"]})
    assert changed.json()["rate_bps"] == 800
    assert (await staff.request("PUT", url, change, **{"If-Match": '"1"'})).status_code == 412
    assert (await staff.request("GET", url)).json() == changed.json()
    assert (await staff.request("DELETE", url, **{"If-Match": '"2"'})).status_code == 204
    assert (await staff.request("GET", url)).status_code == 404
    assert (await staff.request("PUT", url, change, **{"If-Match": '"2"'})).status_code == 404
    entries = await shop.harness.sql(
        "select action, before->>'rate_bps', after->>'rate_bps' from audit_entries order by id"
    )
    assert [tuple(entry) for entry in entries] == [
        ("tax_rate.create", None, "1000"),
        ("tax_rate.change", "1000", "800"),
        ("tax_rate.delete", "800", None),
    ]


async def test_a_place_and_category_have_one_rate(shop: Shop) -> None:
    staff = Staff(shop)
    answers = await asyncio.gather(*(staff.request("POST", "", STANDARD) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"tax_rate_exists"}
    assert (await staff.request("POST", "", {**STANDARD, "state": "CA"})).status_code == 201
    by_category = {**STANDARD, "category_id": str(new_id())}
    assert (await staff.request("POST", "", by_category)).status_code == 201


async def test_all_rates_of_a_country_include_the_tax_or_none(shop: Shop) -> None:
    staff = Staff(shop)
    await staff.request("POST", "", {**STANDARD, "country": "DE", "prices_include_tax": False})
    await staff.request("POST", "", STANDARD)
    by_state = {**STANDARD, "country": "DE", "state": "BY", "prices_include_tax": True}
    await staff.request("POST", "", by_state)
    rates = (await staff.request("GET", "?country=DE")).json()["items"]
    assert [rate["prices_include_tax"] for rate in rates] == [True, True]
    page = (await staff.request("GET", "?limit=1")).json()
    assert len(page["items"]) == 1
    rest = (await staff.request("GET", f"?cursor={page['next_cursor']}")).json()["items"]
    assert [rate["country"] for rate in rest] == ["US", "DE"]


async def test_a_bad_rate_is_refused(shop: Shop) -> None:
    bad: list[dict[str, Any]] = [
        {"country": "usa"},
        {"rate_bps": -1},
        {"rate_bps": 10_001},
        {"rate_bps": 10**20},
        {"state": 1},
    ]
    for change in bad:
        answer = await Staff(shop).request("POST", "", {**STANDARD, **change})
        assert answer.status_code == 422, change


async def test_rates_require_a_permission(shop: Shop) -> None:
    for headers, status in (({}, 401), (shop.harness.signed_in(), 403)):
        answer = await shop.client.get("/v1/admin/tax-rates", headers=headers)
        assert answer.status_code == status


async def test_tax_is_added_where_prices_exclude_it(shop: Shop) -> None:
    cart = await shop.guest_cart((await shop.sells(price=1000), 2))
    await cart.request("PATCH", "", READY)
    assert (await cart.read())["total"]["amount"] == 2500
    await Staff(shop).request("POST", "", STANDARD)
    view = await cart.read()
    assert view["tax"]["amount"] == 250
    assert view["items"][0]["tax"]["amount"] == 200
    assert view["total"]["amount"] == 2750
    locked = (await cart.lock(expected_total={"amount": 2750, "currency": "USD"})).json()
    assert locked["tax_amount"] == 250
    assert locked["lines"][0]["total_amount"] == 2200


async def test_tax_is_included_where_prices_include_it(shop: Shop) -> None:
    await Staff(shop).request(
        "POST", "", {**STANDARD, "rate_bps": 2500, "prices_include_tax": True}
    )
    cart = await shop.guest_cart((await shop.sells(price=1000), 2))
    view = (await cart.request("PATCH", "", READY)).json()
    assert view["tax"]["amount"] == 500
    assert view["total"]["amount"] == 2500
