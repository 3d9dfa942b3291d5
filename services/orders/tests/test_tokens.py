"""A customer's requests and streams end with their access token."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from contracts.identity import SessionTokensRevoked, UserTokensRevoked


async def check_out(orders: Any, headers: dict[str, str]) -> Any:
    body = {"cart_id": str(new_id()), "payment": {"method": "card", "token": "tok_ok"}}
    sent = {**headers, "Idempotency-Key": str(new_id())}
    return await orders.client.post("/v1/orders", json=body, headers=sent)


def expire(orders: Any) -> None:
    """Let what is in memory be older than it may be used."""
    orders.running.revocations._read_at -= 10


async def test_a_banned_or_blocked_user_places_no_order_with_the_old_token(
    orders: Any, cart: Any
) -> None:
    user = new_id()
    old, new = (orders.signed_in(user_id=user, gen={str(user): n}) for n in (1, 2))
    assert (await check_out(orders, old)).status_code == 202
    await orders.deliver(UserTokensRevoked(user_id=user, generation=2))
    expire(orders)
    refused = await check_out(orders, old)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_revoked")
    assert len(cart.requests) == 1
    assert (await check_out(orders, new)).status_code == 202


async def test_an_inactive_customer_cannot_check_out(orders: Any, cart: Any) -> None:
    headers = orders.signed_in(buys=False)
    refused = await check_out(orders, headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "customer_inactive")
    assert cart.requests == []
    assert await orders.sql("select 1 from orders") == []
    # What they bought before they may read all the same.
    assert (await orders.client.get("/v1/orders", headers=headers)).status_code == 200


async def follow(orders: Any, order_id: str, headers: dict[str, str]) -> Any:
    """Follow an order that does not end, until the stream ends; returns the answer."""
    url = f"/v1/orders/{order_id}/progress"
    return await asyncio.wait_for(orders.client.get(url, headers=headers), 60)


@pytest.mark.parametrize("ends", ["logout", "ban"])
async def test_a_stream_ends_when_its_session_or_user_is_revoked(orders: Any, ends: str) -> None:
    user, customer, session = new_id(), new_id(), new_id()
    who = {"user_id": user, "customer_id": customer, "gen": {str(user): 1}}
    headers = orders.signed_in(**who, sid=str(session))
    order = (await check_out(orders, headers)).json()
    following = asyncio.create_task(follow(orders, order["id"], headers))
    other = asyncio.create_task(
        follow(orders, order["id"], orders.signed_in(**who, sid=str(new_id())))
    )
    open_streams = orders.running.resources.streams._open
    while len(open_streams[UUID(order["id"])]) < 2:
        assert not following.done()
        await asyncio.sleep(0.01)
    if ends == "logout":
        await orders.deliver(SessionTokensRevoked(session_id=session, user_id=user))
        await following
        assert not other.done()
    await orders.deliver(UserTokensRevoked(user_id=user, generation=2))
    await following
    await other
