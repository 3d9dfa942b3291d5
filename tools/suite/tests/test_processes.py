"""Layouts: which services share a process, and with which settings."""

import pytest

from suite.processes import packs
from suite.refusals import Refusal
from suite.service_list import ServiceList

NAMES = ["cart", "feed", "orders", "payments"]


def listed(**packs: list[str]) -> ServiceList:
    return ServiceList.model_validate({"services": {name: {} for name in NAMES}, "packs": packs})


def test_every_service_runs_in_one_process_of_either_layout() -> None:
    two = listed(saga=["orders", "payments"], shop=["cart"])
    assert packs(two, "separate", 2) == {name: [name] for name in NAMES}
    assert packs(two, "packed", 2) == {
        "saga": ["orders", "payments"],
        "shop": ["cart"],
        "feed": ["feed"],
    }
    assert packs(two, "packed", 1) == {
        "services": ["orders", "payments", "cart"],
        "feed": ["feed"],
    }
    assert packs(listed(), "packed", 1) == {name: [name] for name in NAMES}


def test_an_unknown_layout_is_refused_with_those_there_are() -> None:
    with pytest.raises(Refusal, match=r"LAYOUT=dense: there are `packed` and `separate`"):
        packs(listed(), "dense", 2)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"saga": ["orders", "mint"]}, "pack saga holds mint, not a service"),
        ({"cart": ["orders"]}, "pack cart has the name of a service"),
        ({"saga": ["orders"], "shop": ["orders"]}, "orders: in two packs"),
    ],
)
def test_a_wrong_pack_is_refused(wrong: dict[str, list[str]], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        listed(**wrong)
