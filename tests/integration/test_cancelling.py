"""Orders that end without a sale: by their buyer, before and after they were confirmed, or by a deadline."""

import asyncio

import httpx

from invariants import InvariantChecker
from mailboxes import Mailbox
from shopfloor import Buyer, Staff, key, ok, until
from suite.instance import Instance


async def test_a_guest_reads_and_cancels_the_order_by_its_token_alone(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    order = await buyer.buys(product)
    await staff.ended(order["id"])
    url = f"/v1/orders/{order['id']}"

    anonymous = await buyer.http.get(url)
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "unauthenticated")
    for token in ("ord_wrong", buyer.cart_token):
        answer = await buyer.http.get(url, headers={"X-Order-Token": token})
        assert answer.status_code == 404
        answer = await buyer.http.post(
            f"{url}/cancellation", json={}, headers={"X-Order-Token": token, **key()}
        )
        assert answer.status_code == 404
    assert (await buyer.read(order["id"]))["status"] == "confirmed"

    requested = await buyer.cancel(order["id"])
    assert (requested.status_code, requested.json()["cancellation"]["state"]) == (202, "requested")
    ended = await buyer.reaches(order["id"], "cancelled")
    assert ended["cancellation"] == {"state": "done", "reason": "customer_request"}
    assert (ended["payment"]["status"], ended["payment"]["refunded_amount"]) == ("refunded", 2500)
    assert [parcel["status"] for parcel in ended["shipments"]] == ["cancelled"]
    assert await staff.level(product) == (1, 0)

    letters = Mailbox(instance, buyer.email)
    assert "You asked for it." in await letters.expect("is cancelled")
    assert "$25.00" in await letters.expect("refund")
    again = await buyer.cancel(order["id"])
    assert (again.status_code, again.json()["code"]) == (409, "already_cancelled")


async def test_an_order_is_cancelled_in_whatever_stage_its_checkout_is(
    staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    """Cancelled at once, while the answer is slow, while the customer must act, and once paid."""
    product = await staff.sell(stock=9)
    code = await staff.coupon(max_uses=4)

    async def ends(token: str, wait: int) -> None:
        buyer = Buyer(http, staff)
        payment = {"method": "card", "token": token}
        order = await buyer.buys(product, wait=wait, payment=payment, coupon_code=code)
        assert (await buyer.cancel(order["id"])).status_code == 202
        ended = await buyer.reaches(order["id"], "cancelled")
        assert ended["cancellation"] == {"state": "done", "reason": "customer_request"}
        assert ended["payment"]["captured_amount"] == ended["payment"]["refunded_amount"]

    await asyncio.gather(
        ends("tok_ok", 0), ends("tok_slow", 0), ends("tok_action", 20), ends("tok_ok", 20)
    )
    assert await staff.level(product) == (9, 0)
    (row,) = await at_rest.rows(
        "promotions", "select uses_count from coupons where code = $1", code
    )
    assert row["uses_count"] == 0


async def test_what_was_refunded_before_the_cancellation_is_not_refunded_again(
    staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=3)

    async def ends_after(*refunds: int) -> None:
        buyer = Buyer(http, staff)
        order = await buyer.buys(product)
        await staff.ended(order["id"])
        payment_id = (await buyer.payment(order["id"]))["id"]
        for amount in refunds:
            money = {"amount": amount, "currency": "USD"}
            url = f"/v1/admin/payments/{payment_id}/refunds"
            await staff.post(url, {"amount": money, "reason": "a scratch"})

        async def known() -> bool:
            shown = await buyer.read(order["id"])
            return bool(shown["payment"]["refunded_amount"] == sum(refunds))

        await until(known)
        ok(await buyer.cancel(order["id"]))
        ended = await buyer.reaches(order["id"], "cancelled")
        assert ended["payment"]["refunded_amount"] == 2500
        detail = await staff.get(f"/v1/admin/payments/{payment_id}")
        assert sum(refund["amount"]["amount"] for refund in detail["refunds"]) == 2500

    await asyncio.gather(ends_after(700), ends_after(700, 1800), ends_after(2500))
    assert await staff.level(product) == (3, 0)


async def test_an_order_to_be_paid_at_the_door_is_cancelled_before_it_leaves_and_not_after(
    staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=2)

    async def promised() -> tuple[Buyer, str]:
        buyer = Buyer(http, staff)
        order = await buyer.buys(product, payment={"method": "cod"})
        await staff.ended(order["id"])
        return buyer, order["id"]

    async def in_time() -> None:
        buyer, order_id = await promised()
        ok(await buyer.cancel(order_id))
        ended = await buyer.reaches(order_id, "cancelled")
        assert ended["payment"]["captured_amount"] == 0

    async def too_late() -> None:
        buyer, order_id = await promised()
        await staff.track(order_id, "shipped")
        await buyer.reaches(order_id, "shipped")
        answer = await buyer.cancel(order_id)
        assert (answer.status_code, answer.json()["code"]) == (409, "too_late_to_cancel")

    await asyncio.gather(in_time(), too_late())

    async def one_left() -> bool:
        return await staff.level(product) == (1, 0)

    await until(one_left)


async def test_a_coupon_that_was_used_up_meanwhile_ends_the_order_cleanly(
    staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=10)
    code = await staff.coupon(max_uses=1)
    buyers = [Buyer(http, staff) for _ in range(10)]
    await asyncio.gather(*(buyer.fill((product, 1)) for buyer in buyers))
    answers = await asyncio.gather(*(buyer.check_out(coupon_code=code) for buyer in buyers))

    sold = [each.json() for each in answers if each.is_success]
    confirmed = [order for order in sold if order["status"] == "confirmed"]
    assert [order["discount_amount"] for order in confirmed] == [200]
    for order in sold:
        if order["status"] != "confirmed":
            reason = order["cancellation"]["reason"]
            assert (order["status"], reason) == ("cancelled", "coupon_rejected")
    refused = [each for each in answers if not each.is_success]
    assert {(each.status_code, each.json()["code"]) for each in refused} <= {
        (409, "coupon_used_up")
    }
    assert await staff.level(product) == (10, 1)

    async def used_once() -> bool:
        rows = await at_rest.rows(
            "promotions",
            "select uses_count, (select count(*) from redemptions r where r.coupon_id = c.id "
            "and r.state = 'redeemed') as redeemed from coupons c where code = $1",
            code,
        )
        return [(row["uses_count"], row["redeemed"]) for row in rows] == [(1, 1)]

    await until(used_once)
