"""The fastest build of a version is chosen, and only when it can make an environment."""

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


def python(folder: Path, says: str) -> None:
    """A Python that answers the probe with a time and its path."""
    path = folder / NAME
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)


def test_a_clearly_faster_one_is_taken(folder: Path) -> None:
    python(folder, "echo 0.000001 /opt/fast/python")
    assert interpreters.fastest() == "/opt/fast/python"


@pytest.mark.parametrize(
    "says", ["echo 9.5 /opt/slow/python", "echo no module named ensurepip >&2; exit 1", "echo what"]
)
def test_one_that_is_slower_or_lacks_something_is_not(folder: Path, says: str) -> None:
    python(folder, says)
    assert interpreters.fastest() == sys.executable


def test_a_little_faster_is_not_worth_a_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {sys.executable: 1.0, str(folder / NAME): 0.95}
    python(folder, "exit 1")
    monkeypatch.setattr(interpreters, "_measured", lambda path: (path, times[path]))
    assert interpreters.fastest() == sys.executable


def test_the_probe_runs_on_this_python() -> None:
    found = interpreters._measured(sys.executable)
    assert found is not None
    assert 0 < found[1] < 9
