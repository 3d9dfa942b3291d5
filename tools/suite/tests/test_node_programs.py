"""Node.js is found where it is, refused where it is too old, and asked for in plain words."""

from pathlib import Path

import pytest

from suite import node_programs
from suite.refusals import MissingProgram


def program(folder: Path, name: str, says: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {says}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all there is on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(node_programs.SOURCE_SETTING, "system")
    return tmp_path


def test_a_new_enough_one_of_this_machine_is_taken(on_path: Path) -> None:
    node, npm = program(on_path, "node", "v22.3.1"), program(on_path, "npm", "11.0.0")
    assert node_programs.find(Path("no.lock"), print) == node
    assert node_programs.npm(node) == [npm]


@pytest.mark.parametrize("says", ["v20.18.3", "v18.20.4", "nonsense"])
def test_one_that_is_too_old_is_not(says: str, on_path: Path) -> None:
    program(on_path, "node", says)
    program(on_path, "npm", "10.0.0")
    with pytest.raises(MissingProgram, match=r"20\.19 or newer is needed: apt-get install nodejs"):
        node_programs.find(Path("no.lock"), print)


def test_none_at_all_is_said_plainly(on_path: Path) -> None:
    with pytest.raises(MissingProgram, match="apt-get install nodejs npm"):
        node_programs.find(Path("no.lock"), print)
