"""The plan: which process runs a service, and its file."""

from pathlib import Path

import pytest

from suite import plan
from suite.plan import Process
from suite.refusals import NotRunning

PLANNED = [
    Process("pack", ["run"], "/", services=["cart", "orders"], env={"SECRET": "x"}),
    Process("gateway", ["run"], "/", health=["tcp://127.0.0.1:1"]),
]


def test_a_plan_is_read_as_it_was_written_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    assert plan.read(file) == {}

    plan.write(file, PLANNED)

    assert plan.read(file) == {process.name: process for process in PLANNED}
    assert file.stat().st_mode & 0o077 == 0


def test_a_process_is_found_by_its_name_and_by_a_service_that_it_runs() -> None:
    planned = {process.name: process for process in PLANNED}

    assert plan.holder(planned, "pack") == plan.holder(planned, "orders") == "pack"
    assert plan.holder(planned, "gateway") == "gateway"
    with pytest.raises(NotRunning, match="no process or service 'butcher'"):
        plan.holder(planned, "butcher")
