"""Rates, providers and methods over HTTP."""

from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from contracts.shipping import ShippingMethodChanged
from testkit.harness import Harness, service_token

Headers = dict[str, str]
PARCEL = {
    "country": "US",
    "state": "CA",
    "postal_code": "94016",
    "currency": "USD",
    "subtotal_amount": 4000,
    "weight_grams": 800,
}
METHODS = "/v1/admin/shipping-methods"
PROVIDERS = "/v1/admin/shipping-providers"


async def post_rates(shipping: Harness[Any], who: str = "cart", **changes: Any) -> Any:
    headers = {"Authorization": f"Bearer {service_token(who)}"}
    body = {**PARCEL, **changes}
    return await shipping.client.post("/internal/rates", json=body, headers=headers)


def method_body(provider_id: Any, **changes: Any) -> dict[str, Any]:
    return {
        "provider_id": str(provider_id),
        "name": "Express",
        "zones": [{"country": "US"}],
        "priced_by": "weight",
        "tiers": [{"up_to": 1000, "price_amount": 1500}],
        "currency": "USD",
        "estimated_days": 1,
        **changes,
    }


async def test_the_cart_gets_the_price_of_each_method(
    shipping: Harness[Any], method_id: UUID
) -> None:
    answer = await post_rates(shipping)
    assert answer.json() == {
        "methods": [
            {
                "id": str(method_id),
                "name": "Standard",
                "provider": "sandbox",
                "price_amount": 590,
                "currency": "USD",
                "estimated_days": 3,
            }
        ]
    }
    assert (await post_rates(shipping, subtotal_amount=10000)).json()["methods"][0][
        "price_amount"
    ] == 0


@pytest.mark.parametrize(
    "elsewhere", [{"state": "TX"}, {"state": None}, {"country": "FR"}, {"currency": "EUR"}]
)
async def test_an_address_outside_all_zones_gets_no_method(
    shipping: Harness[Any], method_id: UUID, elsewhere: dict[str, Any]
) -> None:
    answer = await post_rates(shipping, **elsewhere)
    assert (answer.status_code, answer.json()) == (200, {"methods": []})


async def test_only_the_cart_may_request_rates(shipping: Harness[Any]) -> None:
    assert (await post_rates(shipping, who="payments")).status_code == 403
    assert (await shipping.client.post("/internal/rates", json=PARCEL)).status_code == 401


async def test_shipping_methods_are_public(
    shipping: Harness[Any], staff: Headers, provider_id: UUID, method_id: UUID
) -> None:
    created = await shipping.client.post(METHODS, json=method_body(provider_id), headers=staff)
    assert created.status_code == 201, created.text
    answer = await shipping.client.get("/v1/shipping-methods?country=US&state=CA&currency=USD")
    assert [each["name"] for each in answer.json()["methods"]] == ["Standard", "Express"]
    heavy = await shipping.client.get("/v1/shipping-methods?country=US&weight_grams=1001")
    assert heavy.json() == {"methods": []}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "country=us",
        "country=US&currency=usd",
        "country=US&subtotal_amount=-1",
        "country=US&subtotal_amount=99999999999999999999",
        "country=US&state=a%00b",
        "country=US&weight_grams=NaN",
    ],
)
async def test_an_invalid_query_is_rejected(shipping: Harness[Any], query: str) -> None:
    assert (await shipping.client.get(f"/v1/shipping-methods?{query}")).status_code == 422


async def test_inactive_providers_and_methods_are_not_offered(
    shipping: Harness[Any], staff: Headers, provider_id: UUID, method_id: UUID
) -> None:
    path = f"{PROVIDERS}/{provider_id}"
    paused = await shipping.client.put(
        path, json={"name": "Sandbox", "status": "inactive"}, headers={**staff, "If-Match": '"1"'}
    )
    assert (paused.status_code, paused.headers["ETag"]) == (200, '"2"')
    assert (await post_rates(shipping)).json() == {"methods": []}

    await shipping.client.put(path, json={"name": "S"}, headers={**staff, "If-Match": '"2"'})
    assert len((await post_rates(shipping)).json()["methods"]) == 1
    retired = await shipping.client.put(
        f"{METHODS}/{method_id}",
        json=method_body(provider_id, is_active=False),
        headers={**staff, "If-Match": '"1"'},
    )
    assert retired.status_code == 200, retired.text
    assert (await post_rates(shipping)).json() == {"methods": []}
    events = await shipping.published(ShippingMethodChanged)
    assert [(each.sequence, each.is_active) for each in events] == [(1, True), (2, False)]


async def test_a_change_needs_the_current_version(
    shipping: Harness[Any], staff: Headers, provider_id: UUID, method_id: UUID
) -> None:
    for path, body in (
        (f"{PROVIDERS}/{provider_id}", {"name": "S"}),
        (f"{METHODS}/{method_id}", method_body(provider_id)),
    ):
        missing = await shipping.client.put(path, json=body, headers=staff)
        assert missing.status_code == 428
        stale = await shipping.client.put(path, json=body, headers={**staff, "If-Match": '"7"'})
        assert stale.status_code == 412
        read = await shipping.client.get(path, headers=staff)
        assert (read.status_code, read.headers["ETag"]) == (200, '"1"')


async def test_codes_and_names_are_unique(
    shipping: Harness[Any], staff: Headers, provider_id: UUID, method_id: UUID
) -> None:
    body = {"code": "sandbox", "name": "Another"}
    answer = await shipping.client.post(PROVIDERS, json=body, headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (409, "provider_code_taken")
    body = method_body(provider_id, name="Standard")
    answer = await shipping.client.post(METHODS, json=body, headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (409, "method_name_taken")
    answer = await shipping.client.post(METHODS, json=method_body(new_id()), headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (422, "provider_unknown")


@pytest.mark.parametrize(
    "changes",
    [
        {"zones": []},
        {"zones": [{"country": "US"}, {"country": "US"}]},
        {"zones": [{"country": "usa"}]},
        {"tiers": []},
        {"tiers": [{"price_amount": 1}, {"up_to": 5, "price_amount": 1}]},
        {"tiers": [{"up_to": 5, "price_amount": 1}, {"up_to": 5, "price_amount": 2}]},
        {"tiers": [{"up_to": 5, "price_amount": -1}]},
        {"tiers": [{"up_to": 5, "price_amount": 10**30}]},
        {"currency": "usd"},
        {"estimated_days": -1},
        {"estimated_days": 10**30},
        {"name": "a\u0000b"},
        {"is_active": "yes"},
        {"color": "red"},
    ],
)
async def test_an_invalid_method_is_rejected(
    shipping: Harness[Any], staff: Headers, provider_id: UUID, changes: dict[str, Any]
) -> None:
    body = method_body(provider_id, **changes)
    answer = await shipping.client.post(METHODS, json=body, headers=staff)
    assert answer.status_code == 422, answer.text


async def test_lists_are_paginated(
    shipping: Harness[Any], staff: Headers, provider_id: UUID, method_id: UUID
) -> None:
    await shipping.client.post(METHODS, json=method_body(provider_id), headers=staff)
    first = (await shipping.client.get(f"{METHODS}?limit=1", headers=staff)).json()
    path = f"{METHODS}?limit=1&cursor={first['next_cursor']}"
    second = (await shipping.client.get(path, headers=staff)).json()
    assert [each["name"] for each in (*first["items"], *second["items"])] == ["Standard", "Express"]
    assert second["next_cursor"] is None
    bad = await shipping.client.get(f"{METHODS}?cursor=WzFd", headers=staff)
    assert (bad.status_code, bad.json()["code"]) == (400, "bad_cursor")
    assert len((await shipping.client.get(PROVIDERS, headers=staff)).json()["items"]) == 1


async def test_only_staff_manage_providers_and_methods(
    shipping: Harness[Any], provider_id: UUID
) -> None:
    readers = shipping.signed_in(permissions=("shipping:read",))
    for path, body in (
        (PROVIDERS, {"code": "x", "name": "X"}),
        (METHODS, method_body(provider_id)),
    ):
        assert (await shipping.client.get(path, headers=readers)).status_code == 200
        assert (await shipping.client.post(path, json=body, headers=readers)).status_code == 403
        assert (await shipping.client.get(path, headers=shipping.signed_in())).status_code == 403
        assert (await shipping.client.get(path)).status_code == 401
        unknown = await shipping.client.get(f"{path}/{new_id()}", headers=readers)
        assert unknown.status_code == 404


async def test_the_shipment_statuses_are_public(shipping: Harness[Any]) -> None:
    answer = await shipping.client.get("/v1/reference/shipping-statuses")
    assert "out_for_delivery" in answer.json()["items"]
