"""Messages that arrive in another order than they were sent in, and participants that come back late."""

import asyncio
from typing import Any

import httpx

from delayed_messages import delay_messages
from invariants import InvariantChecker
from shopfloor import Buyer, Staff, ok, until
from suite.instance import Instance


async def is_answered_too_late(staff: Staff, order_id: str, answer: str) -> None:
    """Wait until the saga received a reply after its end, and ignored it."""

    async def ignored() -> bool:
        steps = (await staff.saga(order_id))["steps"]
        return any((step["heard"], step["outcome"]) == (answer, "ignored") for step in steps)

    await until(ignored)
    saga = await staff.saga(order_id)
    assert saga["stage"] == "cancelled"


async def at_stage(staff: Staff, order_id: str, stage: str) -> None:
    """Wait until the saga is in a stage."""

    async def there() -> bool:
        return bool((await staff.saga(order_id))["stage"] == stage)

    await until(there)


async def test_a_release_that_overtakes_its_reservation_leaves_nothing_held(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=3)
    instance.stop_process("inventory")
    order = await buyer.buys(product, 2, wait=0)
    ok(await buyer.cancel(order["id"]))
    reserve = await delay_messages(instance, "inventory", "inventory.ReserveStock")
    instance.start_process("inventory")
    await buyer.reaches(order["id"], "cancelled")
    await reserve.send_on()
    await is_answered_too_late(staff, order["id"], "StockRejected")
    assert await staff.level(product) == (3, 0)


async def test_a_cancellation_that_overtakes_its_collection_leaves_nothing_charged(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    instance.stop_process("payments")
    order = await buyer.buys(product, wait=0)
    await at_stage(staff, order["id"], "collecting")
    ok(await buyer.cancel(order["id"]))
    collect = await delay_messages(instance, "payments", "payments.CollectPayment")
    instance.start_process("payments")
    await buyer.reaches(order["id"], "cancelled")
    await collect.send_on()
    await is_answered_too_late(staff, order["id"], "PaymentFailed")
    charges = "select 1 from charges where reference = $1"
    assert await at_rest.rows("sandbox", charges, order["id"]) == []


async def test_a_release_that_overtakes_its_redemption_leaves_the_coupon_unused(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    code = await staff.coupon(max_uses=1)
    instance.stop_process("inventory")
    await buyer.fill((product, 1))
    order = ok(await buyer.check_out(wait=0, coupon_code=code))
    instance.stop_process("promotions")
    instance.start_process("inventory")
    await at_stage(staff, order["id"], "redeeming")
    ok(await buyer.cancel(order["id"]))
    redeem = await delay_messages(instance, "promotions", "promotions.RedeemPromotions")
    instance.start_process("promotions")
    await buyer.reaches(order["id"], "cancelled")
    await redeem.send_on()
    await is_answered_too_late(staff, order["id"], "PromotionsRejected")

    other = Buyer(buyer.http, staff)
    await other.fill((product, 1))
    bought = ok(await other.check_out(coupon_code=code))
    assert (bought["status"], bought["discount_amount"]) == ("confirmed", 200)


async def test_a_recall_that_overtakes_its_parcels_leaves_none_to_send(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=1)
    order = await buyer.buys(product, payment={"method": "paypal", "token": "tok_ok"})
    instance.stop_process("shipping")
    await buyer.answers_provider(order["id"], "confirm")
    await buyer.reaches(order["id"], "confirmed")
    ok(await buyer.cancel(order["id"]))
    create = await delay_messages(instance, "shipping", "shipping.CreateShipments")
    instance.start_process("shipping")
    ended = await buyer.reaches(order["id"], "cancelled")
    assert ended["payment"]["refunded_amount"] == 2500
    await create.send_on()
    await is_answered_too_late(staff, order["id"], "ShipmentImpossible")
    parcels = await staff.get("/v1/admin/shipments", order_id=order["id"])
    assert parcels["items"] == []
    assert await staff.level(product) == (1, 0)


async def test_a_parcel_that_left_before_the_recall_stays_sold_and_the_rest_is_refunded(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    """Orders receives the hand-over only after it sent CancelShipments."""
    two_houses = await staff.sell(stock=1, second=1)
    one_house = await staff.sell(stock=1)
    partly, wholly = Buyer(http, staff), Buyer(http, staff)
    split = await partly.buys(two_houses, 2)
    whole = await wholly.buys(one_house)
    for order in (split, whole):
        await staff.ended(order["id"])

    parcels = {
        order["id"]: (await staff.get("/v1/admin/shipments", order_id=order["id"]))["items"]
        for order in (split, whole)
    }
    instance.stop_process("orders")
    for order in (split, whole):
        url = f"/v1/admin/shipments/{parcels[order['id']][0]['id']}/tracking-events"
        await staff.post(url, {"type": "shipped"})

    async def both_notified() -> bool:
        return not await at_rest.rows("shipping", "select 1 from outbox")

    await until(both_notified)
    left = await delay_messages(instance, "orders", "shipping.ShipmentHandedOver")
    moved = await delay_messages(instance, "orders", "shipping.ShipmentUpdated")
    instance.start_process("orders")
    ok(await partly.cancel(split["id"]))
    ok(await wholly.cancel(whole["id"]))
    await staff.ended(split["id"])

    async def decided(buyer: Buyer, order_id: str, state: str) -> Any:
        order = await buyer.read(order_id)
        return order if order["cancellation"]["state"] == state else None

    await until(lambda: decided(partly, split["id"], "done"))
    await until(lambda: decided(wholly, whole["id"], "refused"))
    await asyncio.gather(left.send_on(), moved.send_on())

    sold = await wholly.reaches(whole["id"], "shipped")
    assert sold["payment"]["refunded_amount"] == 0
    await partly.reaches(split["id"], "shipped")

    async def half_is_back() -> bool:
        return bool((await partly.read(split["id"]))["payment"]["refunded_amount"] == 2000)

    await until(half_is_back)
    assert await staff.level(two_houses) == (1, 0)


async def test_orders_that_meet_in_an_absent_warehouse_are_decided_when_it_is_back(
    instance: Instance, staff: Staff, http: httpx.AsyncClient, at_rest: InvariantChecker
) -> None:
    """Both carts allowed the last piece; one order gets it, the other's cart is given back."""
    product = await staff.sell(stock=1)
    rivals = [Buyer(http, staff) for _ in range(2)]
    instance.stop_process("inventory")
    placed = [await buyer.buys(product, wait=0) for buyer in rivals]
    instance.start_process("inventory")
    orders = [
        (await staff.ended(order["id"]), await buyer.read(order["id"]))
        for buyer, order in zip(rivals, placed, strict=True)
    ]
    stages = sorted(saga["stage"] for saga, _ in orders)
    assert stages == ["cancelled", "completed"]
    (loser,) = [order for _, order in orders if order["status"] == "cancelled"]
    assert loser["cancellation"]["reason"] == "out_of_stock"
    assert loser["payment"]["captured_amount"] == 0

    house = staff.warehouses[0]
    url = f"/v1/admin/stock/{product.variant_id}/{house}/adjustments"
    await staff.post(url, {"adjustment": 1, "reason": "delivery"})
    (buyer,) = [b for b, o in zip(rivals, placed, strict=True) if o["id"] == loser["id"]]

    async def bought() -> Any:
        answer = await buyer.check_out()
        return answer.is_success and answer.json()

    assert (await until(bought))["status"] == "confirmed"
