"""Many at once: one cart is ordered once, and nothing is sold that is not there."""

import asyncio
from collections import Counter
from typing import Any

import httpx

from invariants import InvariantChecker
from shopfloor import Buyer, Product, Staff, key, ok, until

N = 10
TWENTY = 20


def outcome(answer: httpx.Response) -> str:
    """An order's status and reason, or the code of the refusal."""
    body = answer.json()
    if not answer.is_success:
        return f"{answer.status_code} {body['code']}"
    return " ".join(filter(None, (body["status"], body["cancellation"]["reason"])))


async def nothing_taken_from_the_cancelled(books: InvariantChecker, product: Product) -> None:
    """No buyer was charged for an order that was then cancelled."""
    orders = await books.rows(
        "orders",
        "select distinct o.id from orders o join order_lines l on l.order_id = o.id "
        "where o.status = 'cancelled' and l.variant_id = $1",
        product.variant_id,
    )
    charged = await books.rows(
        "payments",
        "select order_id from payments where captured_amount > 0 and order_id = any($1)",
        [row["id"] for row in orders],
    )
    assert charged == []


async def test_the_same_checkout_sent_twenty_times_at_once_is_one_order(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=5)
    await buyer.fill((product, 1))
    same = key()["Idempotency-Key"]

    async def send() -> Any:
        """Retry as a client does after a Retry-After."""

        async def served() -> Any:
            answer = await buyer.check_out(idempotency_key=same)
            running = outcome(answer) == "409 idempotency_key_running"
            return None if running else answer

        return await until(served)

    answers = await asyncio.gather(*(send() for _ in range(TWENTY)))
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert {answer.json()["order_token"] for answer in answers} == {buyer.order_token}
    await buyer.reaches(answers[0].json()["id"], "confirmed")
    assert await staff.level(product) == (5, 1)


async def test_one_cart_checked_out_under_twenty_keys_is_one_order(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=5)
    await buyer.fill((product, 1))
    answers = await asyncio.gather(*(buyer.check_out() for _ in range(TWENTY)))
    counted = Counter(outcome(answer) for answer in answers)
    assert counted.pop("confirmed") == 1
    assert set(counted) <= {"409 cart_locked", "409 cart_converted", "409 cart_already_ordered"}
    assert await staff.level(product) == (5, 1)


async def test_thirty_buyers_for_the_last_ten_pieces_get_exactly_ten(
    staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    """In carts of one line and of two, whose lines stand in both orders."""
    tea, pot, cup = await asyncio.gather(*(staff.sell(stock=N) for _ in range(3)))
    carts: list[list[tuple[Product, int]]] = [[(tea, 1)] for _ in range(3 * N)]
    carts += [[(pot, 1), (cup, 1)] if n % 2 else [(cup, 1), (pot, 1)] for n in range(3 * N)]
    buyers = [Buyer(http, staff) for _ in carts]
    await asyncio.gather(
        *(buyer.fill(*wanted) for buyer, wanted in zip(buyers, carts, strict=True))
    )
    answers = await asyncio.gather(*(buyer.check_out() for buyer in buyers))

    for third in (answers[: 3 * N], answers[3 * N :]):
        counted = Counter(outcome(answer) for answer in third)
        assert counted.pop("confirmed") == N
        assert set(counted) <= {"cancelled out_of_stock", "409 insufficient_stock"}, counted
        assert sum(counted.values()) == 2 * N
    for product in (tea, pot, cup):
        assert await staff.level(product) == (N, N)
        await nothing_taken_from_the_cancelled(at_rest, product)


async def test_a_buyer_with_two_devices_has_one_cart_and_one_order(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    """Pieces put in at once from two places are all there, and so are they in the order."""
    product = await staff.sell(stock=50)
    await buyer.sign_up()
    await asyncio.gather(*(buyer.fill((product, 1)) for _ in range(8)))
    cart = ok(await buyer.http.get("/v1/carts/current", headers=buyer.headers))
    assert [item["quantity"] for item in cart["items"]] == [8]
    order = ok(await buyer.check_out())
    assert (order["status"], order["lines"][0]["quantity"]) == ("confirmed", 8)
