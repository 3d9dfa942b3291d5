"""The table replays recorded sagas unchanged, step by step."""

import copy

import pytest
from saga_history import History, differences, recorded

from orders.domain.order import Stage
from orders.saga.table import FINAL


def named(history: History) -> str:
    return f"{history['method']}: {' '.join(step['heard'] for step in history['steps'][1:])}"


@pytest.mark.parametrize("history", recorded(), ids=named)
def test_a_recorded_history_replays_unchanged(history: History) -> None:
    assert differences(history) == []


def test_the_histories_cover_most_stages_and_both_ends() -> None:
    stages = {step["next_stage"] for history in recorded() for step in history["steps"]}
    assert set(Stage) - stages <= {Stage.NEEDS_REVIEW}
    ends = {history["steps"][-1]["next_stage"] for history in recorded()}
    assert ends == {stage.value for stage in FINAL}


def test_a_history_that_differs_is_reported() -> None:
    history = copy.deepcopy(recorded()[0])
    history["steps"][1]["sent"] = ["SomethingElse"]
    assert differences(history)
    history = copy.deepcopy(recorded()[0])
    history["steps"][1]["next_stage"] = "nowhere"
    assert differences(history)
