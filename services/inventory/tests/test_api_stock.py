"""Counting and adjusting stock over HTTP."""

import asyncio
import json
from typing import Any
from uuid import UUID

from chassis.ids import new_id

from .shop import Shop, product, wants

COUNT = {"on_hand": 5, "reason": "counted"}


async def put(shop: Shop, variant_id: UUID, version: int | None = None, **body: Any) -> Any:
    headers = shop.staff()
    if version is not None:
        headers["If-Match"] = f'"{version}"'
    url = f"/v1/admin/stock/{variant_id}/{shop.first}"
    return await shop.inventory.client.put(url, json={**COUNT, **body}, headers=headers)


async def adjust(shop: Shop, variant_id: UUID, key: str = "k", **body: Any) -> Any:
    return await shop.inventory.client.post(
        f"/v1/admin/stock/{variant_id}/{shop.first}/adjustments",
        json={"adjustment": -1, "reason": "broken", **body},
        headers={**shop.staff(user_id=STAFF), "Idempotency-Key": key},
    )


async def bulk(shop: Shop, *items: dict[str, Any], key: str = "k") -> Any:
    return await shop.inventory.client.post(
        "/v1/admin/stock/bulk",
        json={"items": list(items), "reason": "first stock"},
        headers={**shop.staff(user_id=STAFF), "Idempotency-Key": key},
    )


async def get(shop: Shop, path: str, **params: Any) -> Any:
    return await shop.inventory.client.get(
        f"/v1/admin/stock{path}", params=params, headers=shop.staff()
    )


STAFF = new_id()


async def test_a_count_needs_the_current_version(shop: Shop) -> None:
    mug = await shop.variant()
    first = await put(shop, mug, sku="MUG-0", low_stock_threshold=2)
    assert first.status_code == 201
    assert first.json()["available"] == 5
    version = first.json()["version"]
    assert first.headers["ETag"] == f'"{version}"'

    assert (await put(shop, mug)).status_code == 428
    assert (await put(shop, mug, version - 1)).status_code == 412
    again = await put(shop, mug, version, on_hand=7)
    assert again.status_code == 200
    assert again.json()["on_hand"] == 7
    assert again.json()["low_stock_threshold"] == 2
    assert (await put(shop, mug, version)).status_code == 412
    read = await get(shop, f"/{mug}/{shop.first}")
    assert read.headers["ETag"] == again.headers["ETag"]
    assert read.json() == again.json()


async def test_a_version_of_an_item_that_does_not_exist_is_stale(shop: Shop) -> None:
    mug = await shop.variant()
    assert (await put(shop, mug, 1)).status_code == 412


async def test_a_reservation_does_not_change_the_version(shop: Shop) -> None:
    mug = await shop.variant(5)
    version = (await get(shop, f"/{mug}/{shop.first}")).json()["version"]
    await shop.inventory.deliver(wants((mug, 3)))

    refused = await put(shop, mug, version, on_hand=2)
    assert (refused.status_code, refused.json()["code"]) == (409, "below_reserved")
    assert refused.json()["reserved"] == 3
    assert (await put(shop, mug, version, on_hand=3)).status_code == 200
    assert await shop.pieces(mug) == [(3, 3)]


async def test_an_unknown_variant_or_warehouse_cannot_be_counted(shop: Shop) -> None:
    mug = await shop.variant()
    unknown = await put(shop, new_id())
    assert (unknown.status_code, unknown.json()["code"]) == (404, "variant_unknown")
    nowhere = await shop.inventory.client.put(
        f"/v1/admin/stock/{mug}/{new_id()}", json=COUNT, headers=shop.staff()
    )
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "warehouse_unknown")
    other = await put(shop, mug, sku="POT")
    assert (other.status_code, other.json()["code"]) == (422, "sku_mismatch")
    assert (await get(shop, f"/{new_id()}")).json()["code"] == "variant_unknown"
    assert (await get(shop, f"/{mug}/{shop.first}")).json()["code"] == "stock_item_unknown"
    never = await adjust(shop, mug)
    assert (never.status_code, never.json()["code"]) == (404, "stock_item_unknown")
    assert (await adjust(shop, new_id())).json()["code"] == "variant_unknown"


async def test_a_sellers_warehouse_stocks_only_that_sellers_variants(shop: Shop) -> None:
    mug, seller = await shop.variant(), new_id()
    theirs = product(seller_id=seller)
    await shop.inventory.deliver(theirs)
    await shop.inventory.sql("update warehouses set seller_id = :id where code = 'W1'", id=seller)

    assert (await put(shop, mug)).json()["code"] == "seller_mismatch"
    assert (await put(shop, theirs.variants[0].variant_id)).status_code == 201


async def test_an_adjustment_is_applied_once_and_records_its_user(shop: Shop) -> None:
    mug = await shop.variant(5)
    first = await adjust(shop, mug, reference_type="transfer", reference_id=str(new_id()))
    assert first.status_code == 201, first.text
    moved = first.json()
    assert (moved["previous"], moved["new"], moved["adjustment"]) == (5, 4, -1)
    assert (moved["direction"], moved["user_id"]) == ("out", str(STAFF))

    again = await adjust(shop, mug, reference_type="transfer", reference_id=moved["reference_id"])
    assert again.content == first.content
    assert await shop.pieces(mug) == [(4, 0)]
    assert (await adjust(shop, mug, adjustment=-2)).json()["code"] == "idempotency_key_reused"
    below = await adjust(shop, mug, key="l", adjustment=-5)
    assert (below.status_code, below.json()["code"]) == (409, "below_reserved")
    above = await adjust(shop, mug, key="l", adjustment=10**9)
    assert (above.status_code, above.json()["code"]) == (409, "too_many_pieces")


BAD_ADJUSTMENTS: list[dict[str, Any]] = [
    {"adjustment": 0},
    {"adjustment": 10**30},
    {"adjustment": 1.0},
    {"adjustment": True},
    {"adjustment": "1"},
    {"adjustment": None},
    {"reason": ""},
    {"reason": "  "},
    {"reason": "a\x00b"},
    {"reason": "x" * 501},
    {"reference_type": "order"},
    {"reference_type": "theft"},
    {"reference_id": "x"},
    {"user_id": str(STAFF)},
]


async def test_a_bad_adjustment_is_refused(shop: Shop) -> None:
    mug = await shop.variant(5)
    for body in BAD_ADJUSTMENTS:
        answer = await adjust(shop, mug, **body)
        assert answer.status_code == 422, (body, answer.text)
    assert await shop.pieces(mug) == [(5, 0)]


BAD_COUNTS: list[dict[str, Any]] = [
    {"on_hand": -1},
    {"on_hand": 10**9 + 1},
    {"on_hand": 10**40},
    {"low_stock_threshold": -1},
    {"sku": "a b"},
    {"sku": "\ud800"},
    {"reason": None},
    {"more": 1},
]


async def test_a_bad_count_is_refused(shop: Shop) -> None:
    mug = await shop.variant()
    for body in BAD_COUNTS:
        answer = await shop.inventory.client.put(
            f"/v1/admin/stock/{mug}/{shop.first}",
            content=json.dumps({**COUNT, **body}),
            headers={**shop.staff(), "Content-Type": "application/json"},
        )
        assert answer.status_code in (400, 422), (body, answer.text)
    assert await shop.pieces(mug) == []


async def test_a_bulk_request_applies_all_counts_or_none(shop: Shop) -> None:
    published = product(250)
    await shop.inventory.deliver(published)
    rows = [
        {"variant_id": str(v.variant_id), "warehouse_id": str(w), "on_hand": 3, "sku": v.sku}
        for v in published.variants
        for w in (shop.first, shop.second)
    ]
    stranger = {**rows[0], "variant_id": str(new_id())}
    refused = await bulk(shop, *rows[:-1], stranger)
    assert refused.json()["code"] == "variant_unknown"
    assert refused.json()["variant_ids"] == [stranger["variant_id"]]
    assert await shop.inventory.sql("select 1 from stock_items") == []

    answer = await bulk(shop, *rows)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == 500
    assert (await bulk(shop, *rows)).content == answer.content
    assert len(await shop.inventory.published()) == 250
    again = await bulk(shop, *({**row, "on_hand": 4} for row in rows), key="l")
    assert {item["on_hand"] for item in again.json()["items"]} == {4}


async def test_a_bad_bulk_count_is_refused_whole(shop: Shop) -> None:
    mug, pot = await shop.variant(5), await shop.variant(5)
    await shop.inventory.deliver(wants((mug, 3)))
    row = {"variant_id": str(mug), "warehouse_id": str(shop.first), "on_hand": 2}
    other = {**row, "variant_id": str(pot)}

    below = await bulk(shop, other, row)
    assert (below.status_code, below.json()["code"]) == (409, "below_reserved")
    assert below.json()["variant_id"] == str(mug)
    assert (await bulk(shop, other, other)).status_code == 422
    assert (await bulk(shop)).status_code == 422
    assert (await bulk(shop, *[other] * 501)).status_code == 422
    missing = await bulk(shop, {**other, "warehouse_id": str(new_id())})
    assert (missing.status_code, missing.json()["code"]) == (404, "warehouse_unknown")
    assert await shop.pieces(pot) == [(5, 0)]


async def test_of_two_counts_at_once_one_is_stale(shop: Shop) -> None:
    mug = await shop.variant()
    answers = await asyncio.gather(*(put(shop, mug, on_hand=n) for n in range(8)))
    assert sorted(a.status_code for a in answers) == [201] + [428] * 7


ROUTES = [
    ("GET", ""),
    ("GET", "/movements"),
    ("GET", "/reservations"),
    ("GET", f"/{STAFF}"),
    ("GET", f"/reservations/{STAFF}"),
    ("GET", f"/{STAFF}/{STAFF}"),
    ("PUT", f"/{STAFF}/{STAFF}"),
    ("POST", f"/{STAFF}/{STAFF}/adjustments"),
    ("POST", "/bulk"),
]


async def test_only_staff_may_see_and_change_stock(shop: Shop) -> None:
    ask = shop.inventory.client.request
    headers = {"Idempotency-Key": "k"}
    for method, path in ROUTES:
        url = f"/v1/admin/stock{path}"
        body: dict[str, Any] = {"json": COUNT} if method != "GET" else {}
        assert (await ask(method, url, headers=headers, **body)).status_code == 401
        customer = {**headers, **shop.inventory.signed_in()}
        assert (await ask(method, url, headers=customer, **body)).status_code == 403
        reader = {**headers, **shop.inventory.signed_in(permissions=("stock:read",))}
        answer = await ask(method, url, headers=reader, **body)
        assert answer.status_code in ((200, 404) if method == "GET" else (403,)), path
    assert await shop.inventory.sql("select 1 from idempotency_keys") == []
