"""Messages that nobody waits for wait for company, on a real RabbitMQ."""

from line import Line, order, until

from chassis.ids import new_id
from contracts.examples import build
from contracts.orders import OrderPlaced

FOR_EVER = 600.0


def placed() -> OrderPlaced:
    """An order that was placed."""
    return build(OrderPlaced).model_copy(update={"order_id": new_id()}).numbered(1)


async def jars(line: Line) -> list[int]:
    """What each jar holds: for an order that was placed, how many came together."""
    return sorted(row.coins for row in await line.harness.sql("select coins from jars"))


async def test_one_that_is_waited_for_takes_the_others_along(line: Line) -> None:
    line.consumer.unhurried_linger = FOR_EVER
    for _ in range(3):
        await line.send(placed())
    await line.send(order(7))

    async def all_handled() -> bool:
        return await jars(line) == [3, 3, 3, 7]

    await until(all_handled)


async def test_without_company_it_is_handled_all_the_same(line: Line) -> None:
    line.consumer.unhurried_linger = 0.05
    await line.send(placed())

    async def handled() -> bool:
        return await jars(line) == [1]

    await until(handled)


async def test_a_full_batch_waits_no_longer(line: Line) -> None:
    line.consumer.unhurried_linger = FOR_EVER
    line.consumer.batch_size = 2
    for _ in range(4):
        await line.send(placed())

    async def handled() -> bool:
        return await jars(line) == [2, 2, 2, 2]

    await until(handled)
