"""Each command of the runbooks is one that the operator's tool has, tried on a real order."""

import re
import shlex
from pathlib import Path

import pytest

from invariants import InvariantChecker
from operator_cli import OperatorCli
from shopfloor import Buyer, Staff
from suite import repository
from suite.instance import Instance

PAGES = sorted((repository.ROOT / "docs/runbooks").glob("*.md"))


def commands(page: Path) -> list[str]:
    """The lines of a page that are to be typed."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture
def desk(instance: Instance, staff: Staff) -> OperatorCli:
    """The administrator at the keyboard."""
    return OperatorCli(instance.url("gateway"), staff.token)


async def test_commands_of_the_runbooks_run(
    desk: OperatorCli, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    order = await buyer.buys(await staff.sell(stock=3))
    await staff.ended(order["id"])
    lines = sorted({line for page in PAGES for line in commands(page)})
    assert len(lines) > 10
    for line in lines:
        program, *words = shlex.split(line.replace("$ORDER", order["order_number"]))
        assert program == "cartwright", line
        await desk.understood(*words)


async def test_a_command_that_does_not_exist_is_seen(desk: OperatorCli) -> None:
    with pytest.raises(AssertionError, match="No such"):
        await desk.understood("saga", "repair", "2026-000001")
