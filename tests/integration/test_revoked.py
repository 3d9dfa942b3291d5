"""Access that ends: in every service, in open streams, and while identity is unavailable."""

import asyncio
import os
import signal

import httpx

from access import another_administrator, change
from invariants import SERVICES, InvariantChecker
from shopfloor import Buyer, Staff, key, ok, until
from suite.instance import Instance


async def test_a_banned_administrator_is_refused_by_every_service(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    path, eve = await another_administrator(instance, staff)

    async def answers() -> list[httpx.Response]:
        paths = [f"/v1/admin/ops/{service}/outbox" for service in SERVICES]
        return [await eve.http.get(each, headers=eve.headers) for each in paths]

    assert {answer.status_code for answer in await answers()} == {200}
    await change(staff, path, "status", {"status": "banned"})

    async def refused_everywhere() -> bool:
        return all(answer.status_code == 401 for answer in await answers())

    await until(refused_everywhere)
    assert {answer.json()["code"] for answer in await answers()} == {"token_revoked"}
    for method, url, body in (
        ("PUT", f"{path}/status", {"status": "active"}),
        ("PUT", "/v1/admin/subscribers/eves", {"types": ["*"]}),
        ("POST", "/v1/orders", buyer.order()),
    ):
        headers = {**eve.headers, **key(), "If-Match": '"1"'}
        answer = await eve.http.request(method, url, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked"), url


async def test_a_stream_ends_with_the_session_that_opened_it(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    await buyer.sign_up()
    product = await staff.sell(stock=1)
    order = await buyer.buys(product, wait=0)
    await staff.ended(order["id"])
    async with buyer.http.stream(
        "GET", order["progress_url"], headers=buyer.headers, timeout=60
    ) as stream:
        assert stream.status_code == 200
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("id:")
        ok(await buyer.http.post("/v1/auth/logout", json={}, headers=buyer.headers))
        # It would go on until the parcel is delivered, which it is not.
        async with asyncio.timeout(60):
            async for _ in lines:
                pass
    assert (await buyer.http.get("/v1/me", headers=buyer.headers)).status_code == 401


async def test_people_check_out_while_identity_is_frozen(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    await buyer.sign_up()
    product = await staff.sell(stock=2)
    await buyer.buys(product)
    await buyer.fill((product, 1))
    pid = instance.pids["identity"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert ok(await buyer.check_out())["status"] == "confirmed"
    finally:
        os.kill(pid, signal.SIGCONT)
