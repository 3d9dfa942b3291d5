"""Every way to pay and every way it can go wrong: charged once when it counts, never otherwise."""

import asyncio
from typing import Any

import httpx
import pytest

from bank_transfer import transfer
from invariants import InvariantChecker
from mailboxes import Mailbox
from shopfloor import Buyer, Product, Staff, key, ok, until
from suite.instance import Instance
from suite.shop.sample import ADDRESS


def card(token: str) -> dict[str, str]:
    """Payment by a card with this token."""
    return {"method": "card", "token": token}


async def charged(books: InvariantChecker, order_id: str) -> list[tuple[str, int]]:
    """The provider's charges for an order: status, and what was captured and not given back."""
    rows = await books.rows(
        "sandbox",
        "select status, captured_amount - refunded_amount as retained from charges "
        "where reference = $1",
        order_id,
    )
    return [(row["status"], row["retained"]) for row in rows]


async def cart_status(buyer: Buyer) -> str:
    """What became of the buyer's cart."""
    shown = await buyer.http.get(f"/v1/carts/{buyer.cart_id}", headers=buyer.headers)
    return str(ok(shown)["status"])


async def cart_comes_back(buyer: Buyer) -> None:
    """Wait until the cart can be bought again."""

    async def active() -> bool:
        return await cart_status(buyer) == "active"

    await until(active)


async def test_a_declined_card_gives_stock_and_cart_back_and_another_card_buys_it(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    refused = await buyer.buys(product, payment=card("tok_declined"))
    assert (refused["status"], refused["cancellation"]["reason"]) == ("cancelled", "payment_failed")
    assert (await buyer.payment(refused["id"]))["failure_reason"] == "card_declined"
    assert await charged(at_rest, refused["id"]) == [("failed", 0)]
    assert await staff.level(product) == (1, 0)

    await cart_comes_back(buyer)
    again = ok(await buyer.check_out())
    assert (again["status"], again["cart_id"]) == ("confirmed", refused["cart_id"])
    assert await staff.level(product) == (1, 1)


async def test_every_refusal_of_the_provider_ends_its_order_with_the_reason(
    staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=4)
    refusals = {
        "tok_insufficient_funds": "insufficient_funds",
        "tok_expired": "expired_card",
        "tok_nonsense": "invalid_token",
        "tok_capture_fails": "capture_failed",
    }

    async def refused(token: str, reason: str) -> None:
        buyer = Buyer(http, staff)
        order = await buyer.buys(product, payment=card(token))
        assert order["status"] == "cancelled"
        assert (await buyer.payment(order["id"]))["failure_reason"] == reason
        assert sum(retained for _, retained in await charged(at_rest, order["id"])) == 0

    await asyncio.gather(*(refused(token, reason) for token, reason in refusals.items()))
    assert await staff.level(product) == (4, 0)


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param(
            ("tok_timeout_after_charge", "tok_error_after_charge", "tok_drop_after_charge"),
            id="answers that never came",
        ),
        pytest.param(
            ("tok_slow", "tok_webhook_only", "tok_late_webhook"),
            id="news that came by another way or late",
        ),
        pytest.param(
            ("tok_duplicate_webhooks", "tok_reversed_webhooks", "tok_refund_fails_once"),
            id="news that came twice or in the wrong order",
        ),
    ],
)
async def test_whatever_happens_to_the_providers_answer_the_order_is_charged_once(
    tokens: tuple[str, ...], staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=len(tokens))

    async def pay(token: str) -> None:
        order = await Buyer(http, staff).buys(product, payment=card(token))
        assert order["status"] == "confirmed", (token, order)
        await staff.ended(order["id"])
        assert await charged(at_rest, order["id"]) == [("succeeded", 2500)], token

    await asyncio.gather(*(pay(token) for token in tokens))
    assert await staff.level(product) == (len(tokens), len(tokens))


async def test_a_customers_word_is_awaited_then_taken_or_the_order_expires(
    staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=4)

    async def awaiting_customer(payment: dict[str, str]) -> tuple[Buyer, str]:
        buyer = Buyer(http, staff)
        order = await buyer.buys(product, payment=payment)
        assert (order["status"], order["payment"]["action_required"]) == ("pending", True)
        return buyer, order["id"]

    async def confirms(payment: dict[str, str]) -> None:
        buyer, order_id = await awaiting_customer(payment)
        assert (await buyer.payment(order_id))["next_action"]["type"]
        await buyer.answers_provider(order_id, "confirm")
        order = await buyer.reaches(order_id, "confirmed")
        assert order["payment"]["status"] == "paid"
        assert await charged(at_rest, order_id) == [("succeeded", 2500)]
        assert (await buyer.payment(order_id))["next_action"] is None

    async def declines() -> None:
        buyer, order_id = await awaiting_customer(card("tok_action"))
        await buyer.answers_provider(order_id, "decline")
        order = await buyer.reaches(order_id, "cancelled")
        assert order["cancellation"]["reason"] == "payment_failed"

    async def goes_away() -> None:
        buyer, order_id = await awaiting_customer(card("tok_action"))
        order = await buyer.reaches(order_id, "cancelled")
        assert order["cancellation"]["reason"] == "payment_expired"
        assert await charged(at_rest, order_id) == [("voided", 0)]
        await cart_comes_back(buyer)

    await asyncio.gather(
        confirms(card("tok_action")),
        confirms({"method": "paypal", "token": "tok_ok"}),
        declines(),
        goes_away(),
    )
    assert await staff.level(product) == (4, 2)


async def test_money_that_comes_after_the_cancellation_goes_back(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=2)

    async def captured_while_cancelling() -> None:
        buyer = Buyer(http, staff)
        order = await buyer.buys(product, payment=card("tok_late_capture"))
        ok(await buyer.cancel(order["id"]))
        ended = await buyer.reaches(order["id"], "cancelled")
        assert ended["cancellation"] == {"state": "done", "reason": "customer_request"}
        assert ended["payment"]["status"] == "refunded"
        messages = [step["heard"] for step in (await staff.saga(order["id"]))["steps"]]
        assert messages.index("CancelRequested") < messages.index("PaymentCaptured")
        assert messages.index("PaymentCaptured") < messages.index("PaymentRefunded")
        assert await charged(at_rest, order["id"]) == [("succeeded", 0)]

    async def transferred_after_the_end() -> None:
        buyer = Buyer(http, staff)
        order = await buyer.buys(product, payment={"method": "bank_transfer"})
        assert order["payment"]["action_required"]
        ok(await buyer.cancel(order["id"]))
        await buyer.reaches(order["id"], "cancelled")
        await transfer(instance, at_rest, order["id"], 2500)

        async def refunded() -> bool:
            shown = await buyer.read(order["id"])
            return bool(shown["payment"]["refunded_amount"] == 2500)

        await until(refunded)
        ended = await buyer.reaches(order["id"], "cancelled")
        assert ended["payment"]["status"] == "refunded"
        history = await at_rest.rows(
            "orders", "select to_status from order_history where order_id = $1", order["id"]
        )
        assert [row["to_status"] for row in history].count("cancelled") == 1

    await asyncio.gather(captured_while_cancelling(), transferred_after_the_end())
    assert await staff.level(product) == (2, 0)


async def test_a_bank_transfer_confirms_the_order_when_the_money_arrives(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    order = await buyer.buys(product, payment={"method": "bank_transfer"})
    assert order["status"] == "pending"
    await transfer(instance, at_rest, order["id"], 2500)
    assert (await buyer.reaches(order["id"], "confirmed"))["payment"]["status"] == "paid"


async def test_cash_is_taken_at_the_door_or_the_refused_parcel_comes_back(
    staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=2)

    async def sent() -> tuple[Buyer, str]:
        buyer = Buyer(http, staff)
        order = await buyer.buys(product, payment={"method": "cod"})
        assert (order["status"], order["payment"]["captured_amount"]) == ("confirmed", 0)
        await staff.ended(order["id"])
        (parcel,) = (await staff.get("/v1/admin/shipments", order_id=order["id"]))["items"]
        assert parcel["collect"] == {"amount": 2500, "currency": "USD"}
        await staff.track(order["id"], "shipped")
        await buyer.reaches(order["id"], "shipped")
        return buyer, order["id"]

    async def paid() -> None:
        buyer, order_id = await sent()
        await staff.track(order_id, "delivered")

        async def captured() -> bool:
            return bool((await buyer.read(order_id))["payment"]["captured_amount"] == 2500)

        await until(captured)
        assert (await buyer.reaches(order_id, "delivered"))["payment"]["status"] == "paid"

    async def refused() -> None:
        buyer, order_id = await sent()
        await staff.track(order_id, "failed")
        order = await buyer.reaches(order_id, "cancelled")
        assert order["cancellation"]["reason"] == "refused_at_door"

    await asyncio.gather(paid(), refused())

    async def restocked() -> bool:
        return await staff.level(product) == (1, 0)

    await until(restocked)


async def test_an_order_with_nothing_to_pay_calls_no_provider(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    free = await staff.free_shipping("WA")
    code = await staff.coupon(value=10_000)
    await buyer.fill((product, 1))
    order = ok(
        await buyer.check_out(
            coupon_code=code,
            shipping_address={**ADDRESS, "state": "WA"},
            shipping_method_id=free,
        )
    )
    assert (order["status"], order["total"]["amount"]) == ("confirmed", 0)
    assert (order["discount_amount"], order["payment"]["status"]) == (2000, "paid")
    await staff.ended(order["id"])
    assert await charged(at_rest, order["id"]) == []
    # It can be cancelled like any other, and there is nothing to give back.
    ok(await buyer.cancel(order["id"]))
    await buyer.reaches(order["id"], "cancelled")


async def test_a_saved_card_pays_and_belongs_to_its_customer_alone(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=2)
    await buyer.sign_up()
    saved = ok(
        await buyer.http.post(
            "/v1/me/payment-methods",
            json={"type": "card", "token": "tok_ok_mastercard"},
            headers=buyer.headers,
        )
    )
    payment = {"method": "card", "saved_method_id": saved["id"]}
    order = await buyer.buys(product, payment=payment)
    assert (order["status"], order["payment"]["last_four"]) == ("confirmed", "4444")

    stranger = Buyer(buyer.http, staff)
    await stranger.sign_up()
    refused = await stranger.buys(product, payment=payment)
    assert refused["status"] == "cancelled"
    assert await charged(at_rest, refused["id"]) == []


async def test_staff_give_back_a_part_and_never_more_than_was_taken(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    order = await buyer.buys(product, payment=card("tok_ok"))
    await staff.ended(order["id"])
    url = f"/v1/admin/payments/{(await buyer.payment(order['id']))['id']}/refunds"

    async def give_back(amount: int) -> Any:
        body = {"amount": {"amount": amount, "currency": "USD"}, "reason": "a scratch"}
        return await staff.http.post(url, json=body, headers={**staff.headers, **key()})

    made = await give_back(700)
    assert (made.status_code, made.json()["state"]) == (201, "succeeded")
    await refund_shows(buyer, order["id"], 700, "partially_refunded")
    too_much = await give_back(1801)
    assert (too_much.status_code, too_much.json()["code"]) == (409, "refund_exceeds_captured")

    # Two at once that would exceed it together: one of them is refused.
    both = await asyncio.gather(give_back(1000), give_back(1000))
    assert sorted(each.status_code for each in both) == [201, 409]
    assert (await give_back(800)).status_code == 201
    await refund_shows(buyer, order["id"], 2500, "refunded")
    assert await charged(at_rest, order["id"]) == [("succeeded", 0)]

    async def three_letters() -> bool:
        subjects = await Mailbox(instance, buyer.email).subjects()
        return sum("refund" in subject for subject in subjects) == 3

    await until(three_letters)


async def refund_shows(buyer: Buyer, order_id: str, amount: int, status: str) -> None:
    """Wait until the order shows the refund."""

    async def shown() -> bool:
        payment = (await buyer.read(order_id))["payment"]
        return (payment["refunded_amount"], payment["status"]) == (amount, status)

    await until(shown)


async def test_a_failed_refund_is_retried_until_it_succeeds(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product: Product = await staff.sell(stock=1)
    order = await buyer.buys(product, payment=card("tok_refund_fails_once"))
    await staff.ended(order["id"])
    ok(await buyer.cancel(order["id"]))
    ended = await buyer.reaches(order["id"], "cancelled")
    assert ended["payment"]["status"] == "refunded"
    assert await charged(at_rest, order["id"]) == [("succeeded", 0)]
