"""Coupons over HTTP: managed by staff, evaluated for the cart."""

import asyncio
from typing import Any

import pytest

from chassis.ids import new_id
from testkit.harness import Harness, service_token

from .conftest import MakeCoupon
from .test_handlers import redeem, release

Headers = dict[str, str]
COUPONS = "/v1/admin/coupons"


async def evaluate(promotions: Harness[Any], who: str = "cart", **changes: Any) -> Any:
    lines = [
        {"variant_id": str(new_id()), "product_id": str(new_id()), "amount": amount}
        for amount in changes.pop("amounts", [1500, 500])
    ]
    body = {"code": "tea10", "currency": "USD", "lines": lines, "shipping_amount": 590, **changes}
    headers = {"Authorization": f"Bearer {service_token(who)}"}
    return await promotions.client.post("/internal/coupons/evaluate", json=body, headers=headers)


@pytest.mark.parametrize(
    ("coupon", "discount", "is_free"),
    [
        ({"value": 1050}, 210, False),
        ({"discount_type": "fixed", "value": 300, "currency": "USD"}, 300, False),
        ({"discount_type": "fixed", "value": 9999, "currency": "USD"}, 2000, False),
        ({"discount_type": "free_shipping", "value": None}, 0, True),
    ],
)
async def test_an_evaluation_returns_the_discount(
    promotions: Harness[Any], make_coupon: MakeCoupon, coupon: Any, discount: int, is_free: Any
) -> None:
    made = await make_coupon(**coupon)
    answer = await evaluate(promotions)
    assert answer.json() == {
        "coupon_id": made["id"],
        "code": "TEA10",
        "discount_type": made["discount_type"],
        "discount_amount": discount,
        "free_shipping": is_free,
    }


@pytest.mark.parametrize(
    ("coupon", "request_changes", "refusal"),
    [
        ({}, {"code": "nothing"}, (404, "coupon_unknown")),
        ({}, {"code": "x" * 100}, (404, "coupon_unknown")),
        ({"status": "disabled"}, {}, (409, "coupon_disabled")),
        ({"starts_at": "2099-01-01"}, {}, (409, "coupon_not_started")),
        ({"ends_at": "2020-01-01"}, {}, (409, "coupon_ended")),
        ({"currency": "EUR"}, {}, (409, "currency_mismatch")),
        ({"currency": "USD", "min_order_amount": 2001}, {}, (409, "coupon_minimum_not_reached")),
    ],
)
async def test_a_coupon_the_cart_cannot_use_is_refused(
    promotions: Harness[Any],
    make_coupon: MakeCoupon,
    coupon: dict[str, Any],
    request_changes: dict[str, Any],
    refusal: tuple[int, str],
) -> None:
    await make_coupon(**coupon)
    answer = await evaluate(promotions, **request_changes)
    assert (answer.status_code, answer.json()["code"]) == refusal


async def test_reserved_uses_count_against_both_limits(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses=2, max_uses_per_customer=1)
    customer = new_id()
    first, second = redeem(redeemer=f"customer:{customer}"), redeem()
    await promotions.deliver(first)
    mine = await evaluate(promotions, customer_id=str(customer))
    assert mine.json()["code"] == "coupon_used_up_by_customer"
    assert (await evaluate(promotions, redeemer="guest:another")).status_code == 200
    assert (await evaluate(promotions)).status_code == 200
    await promotions.deliver(second)
    assert (await evaluate(promotions)).json()["code"] == "coupon_used_up"
    await promotions.deliver(release(first.order_id))
    assert (await evaluate(promotions, customer_id=str(customer))).status_code == 200


async def test_only_the_cart_service_evaluates_coupons(promotions: Harness[Any]) -> None:
    assert (await evaluate(promotions, who="payments")).status_code == 403
    assert (await promotions.client.post("/internal/coupons/evaluate", json={})).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "a\u0000b"},
        {"amounts": [-1]},
        {"amounts": [10**20]},
        {"currency": "usd"},
        {"customer_id": "me"},
        {"surprise": 1},
    ],
)
async def test_an_invalid_evaluation_is_refused(
    promotions: Harness[Any], wrong: dict[str, Any]
) -> None:
    assert (await evaluate(promotions, **wrong)).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 0},
        {"value": 10001},
        {"value": None},
        {"value": 10**30},
        {"value": 10.5},
        {"discount_type": "free_shipping"},
        {"discount_type": "fixed"},
        {"discount_type": "gift"},
        {"min_order_amount": 100},
        {"max_uses": 0},
        {"max_uses_per_customer": -1},
        {"starts_at": "2026-11-02", "ends_at": "2026-11-01"},
        {"starts_at": "2026-11-31"},
        {"starts_at": 1},
        {"code": "a b"},
        {"code": ""},
        {"code": "ß"},
        {"description": "a\u0000b"},
        {"description": "x" * 501},
        {"status": "expired"},
        {"uses_count": 5},
    ],
)
async def test_an_invalid_coupon_is_refused(
    promotions: Harness[Any], staff: Headers, wrong: dict[str, Any]
) -> None:
    body = {"code": "TEA10", "discount_type": "percentage", "value": 1000, **wrong}
    answer = await promotions.client.post(COUPONS, json=body, headers=staff)
    assert answer.status_code == 422, answer.text


async def test_codes_are_unique_without_regard_to_case(
    promotions: Harness[Any], staff: Headers
) -> None:
    async def post(code: str) -> int:
        body = {"code": code, "discount_type": "free_shipping"}
        answer = await promotions.client.post(COUPONS, json=body, headers=staff)
        status: int = answer.status_code
        return status

    statuses = await asyncio.gather(*(post(code) for code in ("tea", "TEA", "Tea", "teA")))
    assert sorted(statuses) == [201, 409, 409, 409]


async def test_a_coupon_is_read_changed_and_deleted_by_its_version(
    promotions: Harness[Any], make_coupon: MakeCoupon, staff: Headers
) -> None:
    made = await make_coupon()
    path = f"{COUPONS}/{made['id']}"
    read = await promotions.client.get(path, headers=staff)
    assert (read.json(), read.headers["ETag"]) == (made, '"1"')
    body = {"discount_type": "fixed", "value": 5, "currency": "USD", "ends_at": "2020-01-01"}

    assert (await promotions.client.put(path, json=body, headers=staff)).status_code == 428
    stale = {**staff, "If-Match": '"7"'}
    assert (await promotions.client.put(path, json=body, headers=stale)).status_code == 412
    changed = await promotions.client.put(path, json=body, headers={**staff, "If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert (changed.json()["status"], changed.json()["code"]) == ("expired", "TEA10")
    gone = await promotions.client.delete(path, headers={**staff, "If-Match": '"2"'})
    assert gone.status_code == 204
    assert (await promotions.client.get(path, headers=staff)).status_code == 404
    entries = await promotions.sql(
        "select action, before->>'ends_at', after->>'ends_at', after->>'code'"
        " from audit_entries order by id"
    )
    assert [tuple(entry) for entry in entries] == [
        ("coupon.create", None, made["ends_at"], "TEA10"),
        ("coupon.change", made["ends_at"], "2020-01-01", "TEA10"),
        ("coupon.delete", "2020-01-01", None, None),
    ]


async def test_a_redemption_leaves_the_version_and_blocks_the_deletion(
    promotions: Harness[Any], make_coupon: MakeCoupon, staff: Headers
) -> None:
    made = await make_coupon()
    orders = [redeem(), redeem()]
    await promotions.deliver(*orders)
    path, editor = f"{COUPONS}/{made['id']}", {**staff, "If-Match": '"1"'}
    removed = await promotions.client.delete(path, headers=editor)
    assert removed.json()["code"] == "coupon_in_use"
    body = {"discount_type": "percentage", "value": 500, "max_uses": 1}
    below = await promotions.client.put(path, json=body, headers=editor)
    assert below.json()["code"] == "limit_below_uses"
    changed = await promotions.client.put(path, json={**body, "max_uses": 2}, headers=editor)
    assert (changed.status_code, changed.json()["uses_count"]) == (200, 2)

    await promotions.deliver(release(orders[0].order_id))
    page = await promotions.client.get(f"{path}/redemptions?limit=1", headers=staff)
    [newest] = page.json()["items"]
    assert newest["order_id"] == str(orders[1].order_id)
    assert newest["discount"] == {"amount": 250, "currency": "USD"}
    cursor = page.json()["next_cursor"]
    rest = await promotions.client.get(f"{path}/redemptions?limit=1&cursor={cursor}", headers=staff)
    assert [each["state"] for each in rest.json()["items"]] == ["released"]


async def test_coupons_are_listed_by_status_in_pages(
    promotions: Harness[Any], make_coupon: MakeCoupon, staff: Headers
) -> None:
    await make_coupon(code="A")
    await make_coupon(code="B", ends_at="2020-01-01")
    await make_coupon(code="C", status="disabled")
    await make_coupon(code="D", ends_at="2099-01-01")

    async def codes(query: str) -> list[str]:
        answer = await promotions.client.get(f"{COUPONS}?{query}", headers=staff)
        return [each["code"] for each in answer.json()["items"]]

    assert await codes("") == ["D", "C", "B", "A"]
    assert await codes("status=active") == ["D", "A"]
    assert await codes("status=expired") == ["B"]
    assert await codes("status=disabled") == ["C"]
    first = (await promotions.client.get(f"{COUPONS}?limit=3", headers=staff)).json()
    assert await codes(f"limit=3&cursor={first['next_cursor']}") == ["A"]
    bad = await promotions.client.get(f"{COUPONS}?cursor=e30", headers=staff)
    assert bad.json()["code"] == "bad_cursor"


async def test_coupons_require_a_permission(promotions: Harness[Any]) -> None:
    reader = promotions.signed_in(permissions=("promotions:read",))
    body = {"code": "x", "discount_type": "free_shipping"}
    assert (await promotions.client.get(COUPONS, headers=reader)).status_code == 200
    assert (await promotions.client.post(COUPONS, json=body, headers=reader)).status_code == 403
    stranger = promotions.signed_in()
    assert (await promotions.client.get(COUPONS, headers=stranger)).status_code == 403
    assert (await promotions.client.get(COUPONS)).status_code == 401
    missing = await promotions.client.get(f"{COUPONS}/{new_id()}", headers=reader)
    assert missing.status_code == 404
