"""`make service`: what it writes is green from the start, and a name it cannot use is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.images import copy_files
from suite import new_service, service_list
from suite.refusals import Refusal
from suite.repository import ROOT

# The longest name; it sorts before `chassis` among the imports.
NAME = "appointment" + "s" * 19


class Copy:
    """A copy of the working tree, whose own packages are imported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        packages = [file.parent for file in root.glob("*/*/pyproject.toml")]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, packages))}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (
            f"{' '.join(command)}:\n{done.stdout[-8000:]}{done.stderr[-8000:]}"
        )
        return done.stdout

    def python(self, *command: str) -> str:
        return self.run(sys.executable, "-m", *command)


def test_a_new_service_is_green_from_the_start(tmp_path: Path) -> None:
    copy_files(ROOT, tmp_path / "tree")
    Copy(tmp_path / "tree").python("suite", "service", NAME)
    # Its package is on the path from now on, as `make install` would put it.
    tree = Copy(tmp_path / "tree")
    tree.run("git", "init", "--quiet")
    rules = ("shape", "routes", "retention", "refusals")
    shape = [f"tests/architecture/test_{name}.py" for name in rules]
    tests = (f"services/{NAME}/tests", "tools/suite/tests/test_render.py", *shape)
    tree.python("pytest", "-q", "-p", "no:cacheprovider", *tests)
    tree.run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    for check in (("check",), ("format", "--check")):
        tree.python("ruff", *check, "--no-cache", "services", "libs/contracts")


def test_a_service_needs_at_most_sixteen_files_by_hand() -> None:
    assert len(new_service.skeleton(NAME)) + len([service_list.FILE]) <= 16


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "lower-case letters"),
        ("Loyalty", "lower-case letters"),
        ("gift_cards", "lower-case letters"),
        ("gift-cards", "lower-case letters"),
        ("../orders", "lower-case letters"),
        ("2fa", "lower-case letters"),
        ("orders", "this service exists"),
        ("import", "Python has this name"),
        ("calendar", "Python has this name"),
        ("gateway", "a package, process or role"),
        ("httpx", "a package, process or role"),
        ("chassis", "a package, process or role"),
        ("provision", "a package, process or role"),
        ("money", "the contracts have a module"),
        ("events", "the gateway routes /v1/events to feed"),
        ("admin", "a package, process or role"),
        ("me", "the gateway routes /v1/me to identity"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_written(name: str, reason: str) -> None:
    before = (ROOT / service_list.FILE).read_text()
    with pytest.raises(Refusal, match=reason):
        new_service.create(ROOT, name, lambda _line: None)
    assert (ROOT / service_list.FILE).read_text() == before
