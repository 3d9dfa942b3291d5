"""What promotions does when orders tells it to redeem or release, or that an order is confirmed."""

from collections import Counter

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Bus
from chassis.ids import utcnow
from contracts.money import Money
from contracts.orders import OrderConfirmed
from contracts.promotions import (
    PromotionsRedeemed,
    PromotionsRejected,
    PromotionsReleased,
    RedeemPromotions,
    RejectReason,
    ReleasePromotions,
)
from promotions.domain import normal_code
from promotions.domain.redemption import HELD
from promotions.settings import PromotionsSettings
from promotions.store import redemptions as store
from promotions.store.redemptions import Claimed, Stock

bus: Bus[PromotionsSettings] = Bus("promotions")

Redeemed = PromotionsRedeemed | PromotionsRejected


@bus.handles_many(RedeemPromotions)
async def redeem_promotions(commands: list[RedeemPromotions], tx: AsyncSession) -> list[Redeemed]:
    """Reserve a use of each order's coupon, never more uses than it has.

    A repeat is answered with what was decided before. After a refusal another operation tries anew.
    """
    answers = Counter(each.order_id for each in commands)
    operations = {
        each.order_id: (each.operation_id, answers[each.order_id]) for each in reversed(commands)
    }
    claimed = await store.lock_redemptions(tx, operations, "rejected", "unknown")
    wanted = [
        (normal_code(each.code), each.redeemer)
        for each in commands
        if claimed[each.order_id].state == "rejected"
    ]
    coupons = await store.lock_coupons(tx, wanted)
    told = []
    for command in commands:
        redemption = claimed[command.order_id]
        if redemption.is_new or (
            redemption.state == "rejected" and redemption.operation_id != command.operation_id
        ):
            _decide(redemption, command, coupons.get(normal_code(command.code)))
        told.append(_answer(redemption))
    await store.save_redemptions(tx, claimed.values())
    taken = {each.id: each.taken for each in coupons.values() if each.taken}
    await store.change_uses(tx, taken)
    return told


def _decide(redemption: Claimed, command: RedeemPromotions, coupon: Stock | None) -> None:
    """Reserve the use, or remember why not."""
    redemption.is_new, redemption.is_changed = False, True
    redemption.operation_id = command.operation_id
    now = utcnow()
    reason: RejectReason | None = "unknown"
    if command.is_expired(now):
        reason = "expired"
    elif coupon is not None:
        reason = coupon.limits.refusal(
            uses=coupon.uses,
            uses_by_redeemer=coupon.by_redeemer.get(command.redeemer, 0),
            today=bus.settings.today(now),
        )
    redemption.reason = reason
    if reason is None and coupon is not None:
        coupon.take(command.redeemer)
        redemption.state = "reserved"
        redemption.coupon_id, redemption.code = coupon.id, coupon.code
        redemption.redeemer, redemption.customer_id = command.redeemer, command.customer_id
        redemption.discount_amount = command.discount.amount
        redemption.currency = command.discount.currency


def _answer(redemption: Claimed) -> Redeemed:
    """Answer as the redemption's state calls for."""
    number = redemption.number()
    if redemption.state in HELD:
        discount = {"amount": redemption.discount_amount, "currency": redemption.currency}
        return PromotionsRedeemed.model_validate(
            {
                "order_id": redemption.order_id,
                "coupon_id": redemption.coupon_id,
                "code": redemption.code,
                "discount": Money.model_validate(discount),
            }
        ).with_sequence(number)
    return PromotionsRejected.model_validate(
        {"order_id": redemption.order_id, "reason": redemption.reason or "released"}
    ).with_sequence(number)


@bus.handles(ReleasePromotions)
async def release_promotions(command: ReleasePromotions, tx: AsyncSession) -> PromotionsReleased:
    """Give the order's use back, redeemed or not; if it has none yet, it gets none later."""
    operation = {command.order_id: (command.operation_id, 1)}
    claimed = await store.lock_redemptions(tx, operation, "released", None)
    redemption = claimed[command.order_id]
    if redemption.state != "released":
        if redemption.state in HELD and redemption.coupon_id is not None:
            await store.change_uses(tx, {redemption.coupon_id: -1})
        redemption.state, redemption.reason, redemption.is_changed = "released", None, True
        await store.save_redemptions(tx, [redemption])
    return PromotionsReleased(order_id=command.order_id).with_sequence(redemption.number())


@bus.handles_many(OrderConfirmed, low_priority=True)
async def order_confirmed(events: list[OrderConfirmed], tx: AsyncSession) -> None:
    """Turn the reserved uses of confirmed orders into redeemed ones."""
    with_coupon = [each.order_id for each in events if each.coupon_code is not None]
    if with_coupon:
        await store.confirm(tx, with_coupon)
