"""Node.js is found on the PATH, and refused when it is missing or too old."""

from pathlib import Path

import pytest

from suite import node_programs
from suite.refusals import MissingProgram


def program(folder: Path, name: str, output: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {output}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(node_programs.SOURCE_SETTING, "system")
    return tmp_path


def test_a_supported_version_on_the_path_is_used(on_path: Path) -> None:
    node, npm = program(on_path, "node", "v22.3.1"), program(on_path, "npm", "11.0.0")
    assert node_programs.find(Path("no.lock"), print) == node
    assert node_programs.npm(node) == [npm]


@pytest.mark.parametrize("version", ["v20.18.3", "v18.20.4", "nonsense"])
def test_an_old_version_is_refused(version: str, on_path: Path) -> None:
    program(on_path, "node", version)
    program(on_path, "npm", "10.0.0")
    with pytest.raises(MissingProgram, match=r"20\.19 or newer is needed: apt-get install nodejs"):
        node_programs.find(Path("no.lock"), print)


def test_without_node_the_refusal_names_the_packages(on_path: Path) -> None:
    with pytest.raises(MissingProgram, match="apt-get install nodejs npm"):
        node_programs.find(Path("no.lock"), print)
