"""Every move of the saga's table is taken in some story that can happen."""

import copy
import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from saga_play import DEADLINES, NOW, an_order, message

from contracts.payments import PaymentRefunded
from orders.domain.checkout import Checkout
from orders.saga import process
from orders.saga.table import MOVES
from orders.saga.triggers import Placed

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
    """What can arrive for an order; money goes back in part or whole."""
    for kind in KINDS:
        if kind is PaymentRefunded:
            for total in {order.total_amount // 2, order.total_amount} - {0}:
                money = order.money(total)
                yield PaymentRefunded(order_id=order.order_id, refunded=money, refunded_total=money)
        else:
            yield message(kind, order)


GUARDS = {move.when for moves in MOVES.values() for move in moves}


def state(order: Checkout) -> tuple[object, ...]:
    """What the table looks at; stories that lead to the same are followed once."""
    answers = tuple(guard(order) for guard in GUARDS)
    given_back = tuple(order.progress.get(f"{what}_released") for what in ("stock", "promotions"))
    return order.stage, answers, given_back, frozenset(order.progress.get("asked", ()))


def follow(order: Checkout, arrived: object) -> tuple[Checkout, int | None]:
    """The order after something arrived, and which of the row's moves that took."""
    after = copy.copy(order)
    after.progress, after.changes = copy.deepcopy(order.progress), []
    process.apply(after, arrived, NOW, DEADLINES)
    noted = copy.copy(order)
    noted.progress = copy.deepcopy(order.progress)
    process._note(noted, arrived)
    move = process.find(noted, arrived)
    return after, None if move is None else MOVES[order.stage, type(arrived)].index(move)


def taken(order: Checkout) -> set[Row]:
    """The moves taken in all stories of one order, found breadth first."""
    process.begin(order, NOW, DEADLINES)
    found: set[Row] = {(None, "Placed", 0)}
    seen, waiting = {state(order)}, deque([order])
    while waiting:
        before = waiting.popleft()
        for arrived in arrivals(before):
            with suppress(process.UnexpectedReply):
                after, place = follow(before, arrived)
                if place is not None:
                    found.add((before.stage, type(arrived).__name__, place))
                if state(after) not in seen:
                    seen.add(state(after))
                    waiting.append(after)
    return found


def test_every_move_of_the_table_is_taken_in_some_story() -> None:
    found: set[Row] = set()
    for coupon, total in itertools.product([False, True], [0, 2500]):
        found |= taken(an_order(coupon=coupon, total_amount=total))
    assert rows() - found == set()
