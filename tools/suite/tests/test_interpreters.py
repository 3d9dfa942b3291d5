"""The fastest build of a version is chosen, if it can create a virtual environment."""

import sys
from pathlib import Path

import pytest

import interpreters

NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(interpreters, "USUAL", ())
    return tmp_path


def fake_python(folder: Path, script: str) -> None:
    """A Python whose probe runs this shell script."""
    path = folder / NAME
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_clearly_faster_build_is_chosen(folder: Path) -> None:
    fake_python(folder, "echo 0.000001 /opt/fast/python")
    assert interpreters.fastest() == "/opt/fast/python"


@pytest.mark.parametrize(
    "script",
    ["echo 9.5 /opt/slow/python", "echo no module named ensurepip >&2; exit 1", "echo what"],
)
def test_a_slower_or_incomplete_build_is_not_chosen(folder: Path, script: str) -> None:
    fake_python(folder, script)
    assert interpreters.fastest() == sys.executable


def test_a_slightly_faster_build_is_not_chosen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {sys.executable: 1.0, str(folder / NAME): 0.95}
    fake_python(folder, "exit 1")
    monkeypatch.setattr(interpreters, "_measured", lambda path: (path, times[path]))
    assert interpreters.fastest() == sys.executable


def test_the_probe_runs_on_the_current_python() -> None:
    found = interpreters._measured(sys.executable)
    assert found is not None
    assert 0 < found[1] < 9
