"""Addresses: country formats, one default of each type, access by their owner alone."""

import asyncio
from typing import Any

import pytest

LONDON = {
    "type": "shipping",
    "recipient_name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "city": "London",
    "postal_code": "sw1y 4jh",
    "country": "GB",
}


@pytest.fixture
async def ada(client: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {(await client.register_and_log_in())['access_token']}"}


async def add(identity: Any, headers: dict[str, str], **changes: Any) -> Any:
    body = {**LONDON, **changes}
    return await identity.client.post("/v1/me/addresses", json=body, headers=headers)


async def defaults(identity: Any, headers: dict[str, str], kind: str) -> list[str]:
    query = {"type": kind}
    page = await identity.client.get("/v1/me/addresses", params=query, headers=headers)
    return [item["id"] for item in page.json()["items"] if item["is_default"]]


async def test_an_address_is_stored_in_the_format_of_its_country(identity: Any, ada: Any) -> None:
    answer = await add(identity, ada, phone="020 7946 0958")
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    assert (stored["postal_code"], stored["phone"]) == ("SW1Y 4JH", "+442079460958")
    assert stored["is_default"] is True
    read = await identity.client.get(answer.headers["Location"], headers=ada)
    assert (read.json(), read.headers["ETag"]) == (stored, answer.headers["ETag"])


async def test_an_invalid_address_is_refused(identity: Any, ada: Any) -> None:
    invalid: list[tuple[dict[str, Any], str]] = [
        ({"country": "XX"}, "unknown_country"),
        ({"country": "US", "postal_code": "10001"}, "state_missing"),
        ({"country": "US", "postal_code": "10001", "state": "ZZ"}, "unknown_state"),
        ({"country": "US", "postal_code": "1000", "state": "NY"}, "bad_postal_code"),
        ({"country": "US", "postal_code": "1000\u0661", "state": "NY"}, "bad_postal_code"),
        ({"country": "GB", "postal_code": ""}, "bad_postal_code"),
        ({"country": "DE", "postal_code": "1011"}, "bad_postal_code"),
        ({"country": "DE", "postal_code": "10115", "phone": "call me"}, "bad_phone"),
        ({"type": "home"}, "invalid_request"),
        ({"country": "gb"}, "invalid_request"),
        ({"line1": ""}, "invalid_request"),
        ({"line1": "x" * 201}, "invalid_request"),
        ({"city": "Lon\x00don"}, "invalid_request"),
        ({"customer_id": "01a1fdf3-c3fb-7165-ba33-d9fb25eb0fc9"}, "invalid_request"),
        ({"is_default": 1}, "invalid_request"),
    ]
    for changes, code in invalid:
        answer = await add(identity, ada, **changes)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_states_and_postal_codes_follow_the_country(identity: Any, ada: Any) -> None:
    for country, state, code in [
        ("US", "ny", "10001-1234"),
        ("CA", "ON", "K1A 0B1"),
        ("AU", "NSW", "2000"),
        ("IN", "KA", "560 001"),
        ("BR", "SP", "01310-100"),
        ("IE", "County Cork", ""),
        ("HK", "", ""),
    ]:
        answer = await add(identity, ada, country=country, state=state, postal_code=code)
        assert answer.status_code == 201, answer.text
        assert answer.json()["state"] == (state.upper() if country == "US" else state)


async def test_concurrent_requests_leave_one_default_of_each_type(identity: Any, ada: Any) -> None:
    await add(identity, ada)
    await add(identity, ada, type="billing")
    answers = await asyncio.gather(*(add(identity, ada, is_default=True) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {201}
    assert len(await defaults(identity, ada, "shipping")) == 1
    assert len(await defaults(identity, ada, "billing")) == 1


async def test_replacing_an_address_requires_its_current_version(identity: Any, ada: Any) -> None:
    first, second = [(await add(identity, ada)).json()["id"] for _ in range(2)]

    async def put(address: str, version: int, **changes: Any) -> Any:
        return await identity.client.put(
            f"/v1/me/addresses/{address}",
            json={**LONDON, **changes},
            headers={**ada, "If-Match": f'"{version}"'},
        )

    answer = await put(second, 1, line2="Flat 2", is_default=True)
    assert (answer.status_code, answer.json()["line2"]) == (200, "Flat 2")
    assert answer.headers["ETag"] == '"2"'
    assert await defaults(identity, ada, "shipping") == [second]
    assert (await put(second, 1)).status_code == 412
    assert (await put(first, 1)).status_code == 412
    assert (await put(second, 2, type="billing", is_default=True)).status_code == 200
    assert await defaults(identity, ada, "shipping") == []
    assert await defaults(identity, ada, "billing") == [second]


async def test_a_deleted_address_is_hidden_and_its_row_remains(identity: Any, ada: Any) -> None:
    url = (await add(identity, ada)).headers["Location"]
    assert (await identity.client.delete(url, headers=ada)).status_code == 428
    headers = {**ada, "If-Match": '"1"'}
    assert (await identity.client.delete(url, headers=headers)).status_code == 204

    assert (await identity.client.get(url, headers=ada)).status_code == 404
    assert (await identity.client.delete(url, headers=headers)).status_code == 404
    assert (await identity.client.get("/v1/me/addresses", headers=ada)).json()["items"] == []
    [row] = await identity.sql("select deleted_by from addresses where deleted_at is not null")
    assert row[0].startswith("user:")
    assert (await add(identity, ada)).json()["is_default"] is True


async def test_a_customer_cannot_access_the_address_of_another(
    identity: Any, client: Any, ada: Any
) -> None:
    url = (await add(identity, ada)).headers["Location"]
    eve = await client.register_and_log_in("eve@example.com")
    hers = {"Authorization": f"Bearer {eve['access_token']}", "If-Match": '"1"'}

    assert (await identity.client.get(url, headers=hers)).status_code == 404
    assert (await identity.client.put(url, json=LONDON, headers=hers)).status_code == 404
    assert (await identity.client.delete(url, headers=hers)).status_code == 404
    assert (await identity.client.get(url, headers=ada)).status_code == 200


async def test_a_customer_stores_at_most_a_hundred_addresses(identity: Any, ada: Any) -> None:
    await add(identity, ada)
    await identity.sql(
        "insert into addresses (id, customer_id, type, recipient_name, line1, line2, city, state,"
        " postal_code, country, phone, is_default) select gen_random_uuid(), customer_id, type,"
        " recipient_name, line1, line2, city, state, postal_code, country, phone, false"
        " from addresses, generate_series(1, 99)"
    )
    answer = await add(identity, ada)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_addresses")


async def test_every_country_is_listed(identity: Any) -> None:
    answer = await identity.client.get("/v1/countries")
    countries = {item["code"]: item for item in answer.json()["items"]}
    assert len(countries) == 249
    assert len(countries["IN"]["states"]) == 36
    assert countries["DE"] == {"code": "DE", "name": "Germany", "states": []}
    one = await identity.client.get("/v1/countries/us")
    assert {"code": "CA", "name": "California"} in one.json()["states"]
    assert (await identity.client.get("/v1/countries/XX")).status_code == 404
    assert (await identity.client.get("/v1/countries/USA")).status_code == 422
