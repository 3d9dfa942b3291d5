"""Redemptions: reserved and released by commands, redeemed by a confirmed order."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id, utcnow
from contracts.money import Money
from contracts.orders import OrderConfirmed
from contracts.promotions import (
    PromotionsRedeemed,
    PromotionsRejected,
    PromotionsReleased,
    RedeemPromotions,
    ReleasePromotions,
)
from promotions.main import service
from testkit.harness import Harness, model_differences

from .conftest import MakeCoupon

USES = "select uses_count from coupons"
STATES = "select state, count(*) from redemptions group by state order by state"


def redeem(**changes: Any) -> RedeemPromotions:
    fresh: dict[str, Any] = {
        "operation_id": new_id(),
        "order_id": new_id(),
        "redeemer": f"customer:{new_id()}",
        "code": "tea10",
        "discount": Money(amount=250, currency="USD"),
    }
    return RedeemPromotions(**{**fresh, **changes})


def release(order_id: UUID) -> ReleasePromotions:
    return ReleasePromotions(operation_id=new_id(), order_id=order_id)


def confirmed(order_id: UUID, code: str | None = "TEA10") -> OrderConfirmed:
    return OrderConfirmed(
        order_id=order_id,
        order_number="2026-000123",
        cart_id=new_id(),
        lines=[],
        total=Money(amount=1, currency="USD"),
        payment_method="card",
        coupon_code=code,
        confirmed_at=utcnow(),
    )


def test_the_migrations_match_the_models(template: str) -> None:
    assert model_differences(service, template) == []


async def test_a_use_is_reserved_and_redeemed_with_the_order(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    coupon = await make_coupon()
    command = redeem()
    await promotions.deliver(command)

    [answer] = await promotions.published(PromotionsRedeemed)
    assert (str(answer.coupon_id), answer.code) == (coupon["id"], "TEA10")
    assert (answer.discount, answer.sequence) == (command.discount, 1)
    assert await promotions.sql(STATES) == [("reserved", 1)]

    await promotions.deliver(confirmed(command.order_id), confirmed(new_id(), None))
    assert await promotions.sql(STATES) == [("redeemed", 1)]
    assert await promotions.sql(USES) == [(1,)]


async def test_a_repeated_command_gets_the_same_answer_and_reserves_nothing(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses=1)
    winner, loser = redeem(), redeem()
    await promotions.deliver(winner)
    await promotions.deliver(winner, loser)
    await promotions.deliver(loser, winner, winner)

    answers = await promotions.published()
    by_order = {
        order: [(type(each).__name__, each.sequence) for each in answers if each.order_id == order]
        for order in (winner.order_id, loser.order_id)
    }
    assert by_order[winner.order_id] == [("PromotionsRedeemed", n) for n in (1, 2, 3, 4)]
    assert by_order[loser.order_id] == [("PromotionsRejected", n) for n in (1, 2)]
    assert await promotions.sql(USES) == [(1,)]


@pytest.mark.parametrize(
    ("coupon", "command", "reason"),
    [
        ({}, {"code": "nothing"}, "unknown"),
        ({"status": "disabled"}, {}, "disabled"),
        ({"starts_at": "2099-01-01"}, {}, "not_started"),
        ({"ends_at": "2020-01-01"}, {}, "ended"),
        ({}, {"expires_at": utcnow() - timedelta(seconds=1)}, "expired"),
    ],
)
async def test_a_coupon_that_cannot_be_used_is_rejected(
    promotions: Harness[Any],
    make_coupon: MakeCoupon,
    coupon: dict[str, Any],
    command: dict[str, Any],
    reason: str,
) -> None:
    await make_coupon(**coupon)
    await promotions.deliver(redeem(**command))
    [answer] = await promotions.published(PromotionsRejected)
    assert answer.reason == reason
    assert await promotions.sql(USES) == [(0,)]


async def test_a_batch_stays_within_both_limits(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses=5, max_uses_per_customer=2)
    greedy = [redeem(redeemer="customer:greedy") for _ in range(3)]
    others = [redeem() for _ in range(4)]
    await promotions.deliver(*greedy, *others)

    answers = await promotions.published(PromotionsRejected)
    assert [each.reason for each in answers] == ["used_up_by_customer", "used_up"]
    assert len(await promotions.published(PromotionsRedeemed)) == 5
    await promotions.deliver(release(greedy[0].order_id))
    await promotions.deliver(redeem(redeemer="customer:greedy"))
    assert len(await promotions.published(PromotionsRedeemed)) == 6
    await promotions.deliver(redeem(redeemer="customer:greedy"))
    assert (await promotions.published(PromotionsRejected))[-1].reason == "used_up"


async def test_one_of_fifty_concurrent_orders_gets_the_last_use(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses=1)
    # Connections are opened first, or the first order would finish before the others begin.
    await asyncio.gather(*(promotions.deliver(redeem(code="none")) for _ in range(50)))
    await promotions.clear_outbox()
    await asyncio.gather(*(promotions.deliver(redeem()) for _ in range(50)))

    assert len(await promotions.published(PromotionsRedeemed)) == 1
    rejected = await promotions.published(PromotionsRejected)
    assert [each.reason for each in rejected] == ["used_up"] * 49
    assert await promotions.sql(USES) == [(1,)]


async def test_concurrent_orders_of_one_customer_stay_within_the_limit(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses_per_customer=2)
    mine = [redeem(redeemer="guest:me") for _ in range(20)]
    batches = [promotions.deliver(*mine[at : at + 4]) for at in range(0, 20, 4)]
    await asyncio.gather(*batches)
    assert len(await promotions.published(PromotionsRedeemed)) == 2


async def test_concurrent_redemptions_and_releases_leave_no_use(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses=100)
    await make_coupon(code="COFFEE", max_uses=100)
    orders = [redeem(code=code) for code in ("tea10", "coffee") * 10]
    await asyncio.gather(
        *(promotions.deliver(*orders[at : at + 5]) for at in range(0, 20, 5)),
        *(promotions.deliver(release(each.order_id)) for each in orders),
    )
    assert await promotions.sql(STATES) == [("released", 20)]
    assert await promotions.sql(USES) == [(0,), (0,)]


async def test_a_released_use_can_be_reserved_by_another_order(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses=1)
    first, second = redeem(), redeem()
    await promotions.deliver(first)
    await promotions.deliver(confirmed(first.order_id))
    order = release(first.order_id)
    await promotions.deliver(order)
    await promotions.deliver(order)
    await promotions.deliver(second)
    await promotions.deliver(confirmed(first.order_id))

    released = await promotions.published(PromotionsReleased)
    assert [each.sequence for each in released] == [2, 3]
    assert (await promotions.published(PromotionsRedeemed))[-1].order_id == second.order_id
    assert await promotions.sql(STATES) == [("released", 1), ("reserved", 1)]
    assert await promotions.sql(USES) == [(1,)]


async def test_a_release_before_its_redemption_leaves_a_tombstone(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon()
    command = redeem()
    await promotions.deliver(release(command.order_id))
    await promotions.deliver(command)

    released, rejected = await promotions.published()
    assert isinstance(released, PromotionsReleased)
    assert isinstance(rejected, PromotionsRejected)
    assert (rejected.reason, released.sequence, rejected.sequence) == ("released", 1, 2)
    assert await promotions.sql(USES) == [(0,)]


async def test_a_use_is_released_in_any_order_of_confirmation_and_release(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses=5)
    for first, second in ((confirmed, release), (release, confirmed)):
        command = redeem()
        for message in (command, first(command.order_id), second(command.order_id)):
            await promotions.deliver(message)
    assert [tuple(row) for row in await promotions.sql(STATES)] == [("released", 2)]
    assert [tuple(row) for row in await promotions.sql(USES)] == [(0,)]


async def test_another_operation_after_a_rejection_is_decided_afresh(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    command = redeem()
    await promotions.deliver(command)
    await make_coupon()
    await promotions.deliver(command)
    await promotions.deliver(redeem(order_id=command.order_id))

    answers = await promotions.published()
    assert [(type(each).__name__, each.sequence) for each in answers] == [
        ("PromotionsRejected", 1),
        ("PromotionsRejected", 2),
        ("PromotionsRedeemed", 3),
    ]


async def test_the_database_refuses_one_use_too_many(
    promotions: Harness[Any], make_coupon: MakeCoupon
) -> None:
    await make_coupon(max_uses=1)
    with pytest.raises(Exception, match="ck_coupons_max_uses"):
        await promotions.sql("update coupons set uses_count = 2")
