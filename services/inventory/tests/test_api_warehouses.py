"""Warehouses over HTTP."""

import asyncio
from typing import Any

from chassis.ids import new_id
from chassis.pages import encode

from .shop import Shop

URL = "/v1/admin/warehouses"
EAST = {
    "code": "EAST",
    "name": "East",
    "priority": 5,
    "address": {"line1": "1 Dock Road", "city": "Rotterdam", "country": "NL"},
}


async def make(shop: Shop, **changes: Any) -> Any:
    return await shop.inventory.client.post(URL, json={**EAST, **changes}, headers=shop.staff())


async def test_a_warehouse_is_created_read_and_changed(shop: Shop) -> None:
    seller = str(new_id())
    made = await make(shop, seller_id=seller)
    assert made.status_code == 201, made.text
    east = made.json()
    assert (east["is_active"], east["seller_id"]) == (True, seller)
    assert east["address"]["city"] == "Rotterdam"
    url = f"{URL}/{east['id']}"
    read = await shop.inventory.client.get(url, headers=shop.staff())
    assert (read.json(), read.headers["ETag"]) == (east, '"1"')

    body = {**EAST, "name": "Far east", "address": None}
    put = shop.inventory.client.put
    assert (await put(url, json=body, headers=shop.staff())).status_code == 428
    changed = await put(url, json=body, headers={**shop.staff(), "If-Match": '"1"'})
    assert changed.json() == {
        **east,
        "name": "Far east",
        "address": None,
        "seller_id": None,
        "version": 2,
    }
    stale = await put(url, json=body, headers={**shop.staff(), "If-Match": '"1"'})
    assert stale.status_code == 412


async def test_a_code_is_unique(shop: Shop) -> None:
    answers = await asyncio.gather(*(make(shop) for _ in range(5)))
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"warehouse_code_taken"}
    taken = await shop.inventory.client.put(
        f"{URL}/{shop.first}", json=EAST, headers={**shop.staff(), "If-Match": '"1"'}
    )
    assert taken.json()["code"] == "warehouse_code_taken"


async def test_warehouses_are_listed_in_the_order_in_which_they_are_emptied(shop: Shop) -> None:
    seller = str(new_id())
    await make(shop, priority=0, code="A", seller_id=seller, is_active=False)

    async def codes(**params: Any) -> list[str]:
        answer = await shop.inventory.client.get(URL, params=params, headers=shop.staff())
        return [row["code"] for row in answer.json()["items"]]

    assert await codes() == ["A", "W1", "W2"]
    assert await codes(is_active=True) == ["W1", "W2"]
    assert await codes(seller_id=seller) == ["A"]
    assert await codes(cursor=encode(2**31, "A")) == []
    assert await codes(cursor=encode(0, "A")) == ["W1", "W2"]


async def test_only_a_warehouse_that_never_stocked_a_variant_can_be_removed(shop: Shop) -> None:
    await shop.variant(0)
    drop = shop.inventory.client.delete
    stocked = await drop(f"{URL}/{shop.first}", headers={**shop.staff(), "If-Match": '"1"'})
    assert (stocked.status_code, stocked.json()["code"]) == (409, "warehouse_in_use")
    headers = {**shop.staff(), "If-Match": '"1"'}
    assert (await drop(f"{URL}/{shop.second}", headers=headers)).status_code == 204
    assert (await drop(f"{URL}/{shop.second}", headers=headers)).status_code == 404
    gone = await shop.inventory.client.get(f"{URL}/{shop.second}", headers=shop.staff())
    assert gone.json()["code"] == "warehouse_unknown"


BAD_WAREHOUSES: list[dict[str, Any]] = [
    {"code": ""},
    {"code": "a b"},
    {"code": "x" * 51},
    {"name": "\x00"},
    {"priority": -1},
    {"priority": 10**20},
    {"priority": True},
    {"is_active": "yes"},
    {"seller_id": "me"},
    {"address": {"line1": "x"}},
    {"address": {"line1": "1 Dock Road", "city": "Rotterdam", "country": "Holland"}},
    {"version": 3},
]


async def test_a_bad_warehouse_is_refused(shop: Shop) -> None:
    for changes in BAD_WAREHOUSES:
        answer = await make(shop, **changes)
        assert answer.status_code == 422, (changes, answer.text)


async def test_a_bad_cursor_is_refused(shop: Shop) -> None:
    odd: list[list[Any]] = [[10**20, "x"], [True, "x"], [1, "\x00"], [1, "\ud800"]]
    for position in [*odd, ["x", "y"], [1]]:
        answer = await shop.inventory.client.get(
            URL, params={"cursor": encode(*position)}, headers=shop.staff()
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor"), position


async def test_only_staff_may_see_and_change_warehouses(shop: Shop) -> None:
    ask = shop.inventory.client.request
    for method, url in (
        ("GET", URL),
        ("POST", URL),
        ("GET", f"{URL}/{shop.first}"),
        ("PUT", f"{URL}/{shop.first}"),
        ("DELETE", f"{URL}/{shop.first}"),
    ):
        body: dict[str, Any] = {"json": EAST} if method in ("POST", "PUT") else {}
        version = {"If-Match": '"1"'}
        assert (await ask(method, url, headers=version, **body)).status_code == 401
        reader = {**version, **shop.inventory.signed_in(permissions=("stock:read",))}
        answer = await ask(method, url, headers=reader, **body)
        assert answer.status_code == (200 if method == "GET" else 403)
