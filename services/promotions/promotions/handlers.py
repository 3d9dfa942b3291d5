"""Handlers of promotions: reserve, release and redeem the use of a coupon by an order."""

from collections import Counter

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Bus
from chassis.ids import utcnow
from contracts.orders import OrderConfirmed
from contracts.promotions import (
    PromotionsRedeemed,
    PromotionsRejected,
    PromotionsReleased,
    RedeemPromotions,
    ReleasePromotions,
)
from promotions import store
from promotions.domain import normal_code
from promotions.settings import PromotionsSettings

bus: Bus[PromotionsSettings] = Bus("promotions")


@bus.handles_many(RedeemPromotions)
async def redeem_promotions(
    commands: list[RedeemPromotions], tx: AsyncSession
) -> list[PromotionsRedeemed | PromotionsRejected]:
    """Reserve a use of each order's coupon, never more uses than it has.

    A repeat gets the same answer again. After a rejection another operation is decided afresh.
    """
    answers = Counter(each.order_id for each in commands)
    operations = {
        each.order_id: (each.operation_id, answers[each.order_id]) for each in reversed(commands)
    }
    redemptions = await store.lock_redemptions(tx, operations, "rejected", "unknown")
    wanted = [
        (normal_code(each.code), each.redeemer)
        for each in commands
        if redemptions[each.order_id].state == "rejected"
    ]
    coupons = await store.lock_coupons(tx, wanted)
    now = utcnow()
    replies = []
    for command in commands:
        redemption = redemptions[command.order_id]
        if redemption.is_undecided(command.operation_id):
            coupon = coupons.get(normal_code(command.code))
            redemption.decide(command, coupon, now, bus.settings.today(now))
        replies.append(redemption.answer())
    await store.save_redemptions(tx, redemptions.values())
    await store.change_uses(tx, {each.id: each.added for each in coupons.values() if each.added})
    return replies


@bus.handles(ReleasePromotions)
async def release_promotions(command: ReleasePromotions, tx: AsyncSession) -> PromotionsReleased:
    """Release the order's use, reserved or redeemed; an order without one gets none later."""
    operation = {command.order_id: (command.operation_id, 1)}
    redemptions = await store.lock_redemptions(tx, operation, "released", None)
    redemption = redemptions[command.order_id]
    coupon_id = redemption.release()
    if coupon_id is not None:
        await store.change_uses(tx, {coupon_id: -1})
    await store.save_redemptions(tx, [redemption])
    return PromotionsReleased(order_id=command.order_id).with_sequence(redemption.next_sequence())


@bus.handles_many(OrderConfirmed, low_priority=True)
async def redeem_reserved_uses(events: list[OrderConfirmed], tx: AsyncSession) -> None:
    """Turn the reserved uses of confirmed orders into redeemed ones."""
    with_coupon = [each.order_id for each in events if each.coupon_code is not None]
    if with_coupon:
        await store.confirm(tx, with_coupon)
