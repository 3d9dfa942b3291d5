"""Checkouts that end well, through the gateway, the real broker and every database."""

from typing import Any

from invariants import InvariantChecker
from shopfloor import Buyer, Staff, ok


async def test_a_guest_buys_and_the_order_is_confirmed(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=10)
    order = await buyer.buys(product, 2)

    assert order["status"] == "confirmed"
    assert order["total"] == {"amount": 4500, "currency": "USD"}
    assert order["payment"]["status"] == "paid"
    saga = await staff.ended(order["id"])
    assert [step["heard"] for step in saga["steps"]] == [
        "Placed",
        "StockReserved",
        "PaymentCaptured",
        "ShipmentsCreated",
    ]


async def test_two_warehouses_make_two_parcels(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1, second=1)
    order = await buyer.buys(product, 2)
    await staff.ended(order["id"])
    assert len((await buyer.read(order["id"]))["shipments"]) == 2


async def test_a_coupon_lowers_the_price_and_is_used_once(
    staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=5)
    code = await staff.coupon(max_uses=1)
    await buyer.fill((product, 1))
    order = ok(await buyer.check_out(coupon_code=code))
    assert order["status"] == "confirmed"
    assert (order["discount_amount"], order["total"]["amount"]) == (200, 2300)
    saga: Any = await staff.ended(order["id"])
    assert "PromotionsRedeemed" in [step["heard"] for step in saga["steps"]]
