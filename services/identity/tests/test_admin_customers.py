"""Customers that staff create and block, and that users claim."""

import asyncio
from typing import Any

from contracts.identity import CustomerChanged

GRACE = {"email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper"}


async def create(identity: Any, headers: Any, **changes: Any) -> Any:
    return await identity.client.post(
        "/v1/admin/customers", json={**GRACE, **changes}, headers=headers
    )


async def block(identity: Any, headers: Any, customer_id: str, status: str = "blocked") -> Any:
    url = f"/v1/admin/customers/{customer_id}"
    read = await identity.client.get(url, headers=headers)
    return await identity.client.put(
        f"{url}/status",
        json={"status": status},
        headers={**headers, "If-Match": read.headers["ETag"]},
    )


async def test_staff_create_and_change_a_customer_without_a_login(
    identity: Any, staff: Any
) -> None:
    made = await create(identity, staff)
    assert made.status_code == 201, made.text
    customer = made.json()
    assert (customer["user_id"], customer["status"]) == (None, "active")
    assert customer["created_by"] == f"user:{customer['managed_by']}"

    body = {**GRACE, "email": "g.hopper@example.com", "phone": "+12025550123"}
    url = made.headers["Location"]
    headers = {**staff, "If-Match": made.headers["ETag"]}
    changed = await identity.client.put(url, json=body, headers=headers)
    assert (changed.json()["email"], changed.json()["phone"]) == (body["email"], "+12025550123")
    assert (await identity.client.put(url, json=body, headers=headers)).status_code == 412
    [event] = await identity.published(CustomerChanged)
    assert (str(event.customer_id), event.sequence) == (customer["id"], 1)


async def test_an_address_identifies_one_unclaimed_customer(
    identity: Any, client: Any, staff: Any
) -> None:
    answers = await asyncio.gather(*(create(identity, staff) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    await client.register()
    await client.verify()
    taken = await create(identity, staff, email="ada@example.com")
    assert (taken.status_code, taken.json()["code"]) == (409, "customer_exists")
    for _ in range(2):
        assert (await create(identity, staff, email=None)).status_code == 201


async def test_a_user_claims_a_customer_by_verifying_its_address(
    identity: Any, client: Any, staff: Any
) -> None:
    waiting = (await create(identity, staff)).json()["id"]
    login = await client.register_and_log_in("grace@example.com")
    own = login["user"]["customer_id"]
    assert own != waiting
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    address = {
        "type": "shipping",
        "recipient_name": "Grace Hopper",
        "line1": "1 Navy Yard",
        "city": "Arlington",
        "state": "VA",
        "postal_code": "22202",
        "country": "US",
    }
    added = await identity.client.post("/v1/me/addresses", json=address, headers=headers)
    assert added.status_code == 201

    await client.verify()

    tokens = (await client.refresh(login["refresh_token"])).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = (await identity.client.get("/v1/me", headers=headers)).json()
    assert (me["customer_id"], me["email_verified"]) == (waiting, True)
    addresses = (await identity.client.get("/v1/me/addresses", headers=headers)).json()["items"]
    assert [item["id"] for item in addresses] == [added.json()["id"]]
    gone, taken = (await identity.published(CustomerChanged))[-2:]
    assert (str(gone.customer_id), str(gone.merged_into)) == (own, waiting)
    assert (gone.user_id, gone.status) == (None, "inactive")
    assert (str(taken.customer_id), str(taken.user_id)) == (waiting, me["id"])
    refused = await block(identity, staff, own, "active")
    assert (refused.status_code, refused.json()["code"]) == (409, "customer_merged")


async def test_a_blocked_customer_cannot_log_in_or_claim(
    identity: Any, client: Any, staff: Any
) -> None:
    waiting = (await create(identity, staff)).json()["id"]
    login = await client.register_and_log_in("grace@example.com")
    blocked = await block(identity, staff, login["user"]["customer_id"])
    assert (blocked.status_code, blocked.json()["status"]) == (200, "blocked")

    assert (await client.refresh(login["refresh_token"])).json()["code"] == "session_ended"
    refused = await client.log_in("grace@example.com")
    assert (refused.status_code, refused.json()["code"]) == (403, "customer_blocked")
    await client.verify()
    read = await identity.client.get(f"/v1/admin/customers/{waiting}", headers=staff)
    assert read.json()["user_id"] is None
    opened = await block(identity, staff, login["user"]["customer_id"], "active")
    assert opened.status_code == 200
    assert (await client.log_in("grace@example.com")).status_code == 200


async def test_staff_cannot_change_the_address_of_a_login(
    identity: Any, client: Any, staff: Any
) -> None:
    own = (await client.register_and_log_in())["user"]["customer_id"]
    headers = {**staff, "If-Match": '"1"'}
    url = f"/v1/admin/customers/{own}"
    refused = await identity.client.put(url, json=GRACE, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "email_is_the_logins")
    same = {**GRACE, "email": "ada@example.com"}
    assert (await identity.client.put(url, json=same, headers=headers)).status_code == 200


async def test_customers_are_filtered_by_email_user_and_status(
    identity: Any, client: Any, staff: Any
) -> None:
    login = await client.register_and_log_in()
    await create(identity, staff)

    async def found(**query: Any) -> list[str]:
        answer = await identity.client.get("/v1/admin/customers", params=query, headers=staff)
        return [item["first_name"] for item in answer.json()["items"]]

    assert await found() == ["Grace", "Ada", "Clerk"]
    assert await found(has_login="true") == ["Ada", "Clerk"]
    assert await found(has_login="false") == ["Grace"]
    assert await found(email="GRACE@example.com") == ["Grace"]
    assert await found(user_id=login["user"]["id"]) == ["Ada"]
    assert await found(status="blocked") == []


async def test_an_invalid_customer_is_refused(identity: Any, staff: Any) -> None:
    invalid: list[dict[str, Any]] = [
        {"email": "x"},
        {"first_name": None},
        {"phone": "x"},
        {"status": "active"},
        {"user_id": None},
        {"managed_by": None},
    ]
    for changes in invalid:
        assert (await create(identity, staff, **changes)).status_code == 422
