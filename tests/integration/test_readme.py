"""The story in the README, pasted into a shell as it stands there."""

import os
import re
import subprocess
from pathlib import Path

from invariants import InvariantChecker
from shopfloor import Staff
from suite.instance import Instance

ROOT = Path(__file__).resolve().parents[2]


def story(url: str) -> str:
    """The README's second block of shell, with the address of this instance."""
    blocks: list[str] = re.findall(
        r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    first, _, rest = blocks[1].partition("\n")
    assert first.startswith("SHOP=")
    return f"SHOP={url}\n{rest}"


async def test_the_story_of_the_readme_ends_with_a_confirmed_order(
    instance: Instance, staff: Staff, at_rest: InvariantChecker
) -> None:
    await staff.sell(stock=5)
    completed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", story(instance.url("gateway"))],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    number, status, view = completed.stdout.split("\n", 2)
    assert re.fullmatch(r"2[0-9]{3}-[0-9]{6}", number)
    assert status == "confirmed", view
