"""The log of a saga is pruned a year after its end; an order and its saga are retained."""

from typing import Any
from uuid import UUID

from contracts.inventory import StockRejected
from orders.domain.order import Stage

RETAINED = 400


async def placed(guest: Any) -> UUID:
    answer = await guest.check_out()
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def logged(orders: Any) -> int:
    return len(await orders.sql("select 1 from saga_log"))


async def test_the_log_of_an_ended_saga_is_pruned_and_its_order_retained(
    orders: Any, guest: Any
) -> None:
    order_id = await placed(guest)
    await orders.deliver(StockRejected(order_id=order_id, reason="insufficient"))
    before = await orders.sql("select * from orders join checkout_sagas on order_id = id")
    assert await logged(orders) == 2

    assert (await orders.prune(RETAINED - 0.01))["saga_log"] == 0
    assert (await orders.prune(RETAINED + 0.01))["saga_log"] == 2
    after = await orders.sql("select * from orders join checkout_sagas on order_id = id")
    assert after == before
    assert len(await orders.sql("select 1 from order_history")) == 2


async def test_a_saga_that_is_open_or_needs_review_retains_its_log(orders: Any, guest: Any) -> None:
    await placed(guest)
    for stage in set(Stage) - {Stage.COMPLETED, Stage.CANCELLED}:
        await orders.sql("update checkout_sagas set stage = :stage", stage=stage)
        await orders.sql("update checkout_sagas set ended_at = now() - interval '9 years'")
        assert (await orders.prune(3650))["saga_log"] == 0


async def test_a_saga_that_received_late_money_retains_its_whole_log(
    orders: Any, guest: Any
) -> None:
    order_id = await placed(guest)
    await orders.deliver(StockRejected(order_id=order_id, reason="insufficient"))
    await orders.sql("update checkout_sagas set ended_at = now() + interval '100 days'")
    assert (await orders.prune(RETAINED + 99))["saga_log"] == 0
    assert (await orders.prune(RETAINED + 101))["saga_log"] == 2
