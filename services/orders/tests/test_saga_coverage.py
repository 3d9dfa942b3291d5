"""Every move of the saga's table is made in some story that can happen."""

import copy
import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from saga_play import DEADLINES, NOW, an_order, message

from contracts.payments import PaymentRefunded
from orders.domain.checkout import Checkout, Placed
from orders.saga import engine
from orders.saga.table import MOVES

KINDS = sorted({kind for _, kind in MOVES if kind is not Placed}, key=lambda kind: kind.__name__)

Row = tuple[str | None, str, int]
"""A stage, what arrives in it, and which of the row's moves."""


def rows() -> set[Row]:
    """Every move of the table."""
    return {
        (stage, kind.__name__, place)
        for (stage, kind), moves in MOVES.items()
        for place in range(len(moves))
    }


def arrivals(order: Checkout) -> Iterator[object]:
    """What can arrive for an order; refunds are partial or full."""
    for kind in KINDS:
        if kind is PaymentRefunded:
            for total in {order.total_amount // 2, order.total_amount} - {0}:
                money = order.money(total)
                yield PaymentRefunded(order_id=order.order_id, refunded=money, refunded_total=money)
        else:
            yield message(kind, order)


CONDITIONS = {move.when for moves in MOVES.values() for move in moves}


def state(order: Checkout) -> tuple[object, ...]:
    """What the table depends on; stories that lead to the same are followed once."""
    answers = tuple(condition(order) for condition in CONDITIONS)
    released = (order.progress.stock_released, order.progress.promotions_released)
    return order.stage, answers, released, frozenset(order.progress.commands_sent)


def follow(order: Checkout, arrival: Any) -> tuple[Checkout, int | None]:
    """The order after something arrived, and which of the row's moves that made."""
    after = copy.copy(order)
    after.progress, after.changes = order.progress.model_copy(deep=True), []
    engine.apply(after, arrival, NOW, DEADLINES)
    noted = copy.copy(order)
    noted.progress = order.progress.model_copy(deep=True)
    engine.note_facts(noted, arrival)
    move = engine.find_move(noted, arrival)
    return after, None if move is None else MOVES[order.stage, type(arrival)].index(move)


def moves_made(order: Checkout) -> set[Row]:
    """The moves made in all stories of one order, found breadth first."""
    engine.start(order, NOW, DEADLINES)
    found: set[Row] = {(None, "Placed", 0)}
    seen, waiting = {state(order)}, deque([order])
    while waiting:
        before = waiting.popleft()
        for arrival in arrivals(before):
            with suppress(engine.UnexpectedReply):
                after, place = follow(before, arrival)
                if place is not None:
                    found.add((before.stage, type(arrival).__name__, place))
                if state(after) not in seen:
                    seen.add(state(after))
                    waiting.append(after)
    return found


def test_every_move_of_the_table_is_made_in_some_story() -> None:
    found: set[Row] = set()
    for coupon, total in itertools.product([False, True], [0, 2500]):
        found |= moves_made(an_order(coupon=coupon, total_amount=total))
    assert rows() - found == set()
