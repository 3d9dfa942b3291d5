"""Recorded histories of finished sagas, replayed through the table."""

import json
from pathlib import Path
from typing import Any

from saga_play import DEADLINES, NOW, an_order, message

from contracts.message import Message
from orders.saga import engine
from orders.saga.table import ANSWERS, MOVES

FILE = Path(__file__).parent / "histories.json"
KINDS = {kind.__name__: kind for _, kind in MOVES} | {kind.__name__: kind for kind in ANSWERS}

History = dict[str, Any]
"""`coupon`, `total`, `method`, `capture`, and `steps`: stage, heard, outcome, next_stage, sent."""


def recorded() -> list[History]:
    """The recorded histories."""
    found: list[History] = json.loads(FILE.read_text())
    return found


def differences(history: History) -> list[str]:
    """Where the table differs from a recorded history."""
    order = an_order(
        coupon=history["coupon"],
        total_amount=history["total"],
        payment_method=history["method"],
        capture=history["capture"],
    )
    first, *steps = history["steps"]
    found = _compare(first, order.stage, "moved", engine.start(order, NOW, DEADLINES).sent)
    for step in steps:
        if order.stage != step["stage"]:
            return [*found, f"{step['heard']} arrived in {order.stage}, not {step['stage']}"]
        transition = engine.apply(order, message(KINDS[step["heard"]], order), NOW, DEADLINES)
        found += _compare(step, order.stage, transition.outcome, transition.sent)
    return found


def _compare(step: dict[str, Any], stage: str, outcome: str, sent: list[Message]) -> list[str]:
    then = (step["next_stage"], step["outcome"], step["sent"])
    now = (str(stage), outcome, [type(each).__name__ for each in sent])
    return [f"{step['heard']}: then {then}, now {now}"] if then != now else []
