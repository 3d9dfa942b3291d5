"""What the code of an image imports is in that image: our own packages, and the wheels of its lock."""

import ast
import functools
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

from suite import repository

ROOT = repository.ROOT
TOOLS = ("provision", "sandbox_provider", "mailcatcher")
IMAGES = {
    **{name: f"services/{name}/{name}" for name in repository.services(ROOT)},
    **{name: f"tools/{name}/{name}" for name in TOOLS},
}


def copied() -> dict[str, Path]:
    """Our packages that the Dockerfile puts into every image, by their names."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    return {
        path.name: ROOT / path
        for path in map(Path, re.findall(r"^COPY (libs/\S+)", text, re.MULTILINE))
    }


@functools.cache
def installed() -> set[str]:
    """The modules of the wheels that every image gets."""
    lock = (ROOT / "requirements/services.lock").read_text()
    wheels = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    return {
        module
        for module, brought_by in importlib.metadata.packages_distributions().items()
        if wheels & {normal(name) for name in brought_by}
    }


def normal(name: str) -> str:
    """A distribution's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def imports(folder: Path) -> set[str]:
    """The top-level modules that a package's code imports, tests left out."""
    found: set[str] = set()
    for file in folder.rglob("*.py"):
        if "tests" in file.relative_to(folder).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def missing(package: Path, ours: dict[str, Path], wheels: set[str]) -> set[str]:
    """What a package imports, or a package of ours that it imports, and its image does not hold."""
    known, found, open_ends = {package.name}, set[str](), [package]
    while open_ends:
        for module in imports(open_ends.pop()) - sys.stdlib_module_names - known:
            known.add(module)
            if module in ours:
                open_ends.append(ours[module])
            elif module not in wheels:
                found.add(module)
    return found


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_holds_what_its_code_imports(name: str) -> None:
    assert missing(ROOT / IMAGES[name], copied(), installed()) == set()


def test_no_image_holds_the_test_kit(tmp_path: Path) -> None:
    assert set(copied()) == {"contracts", "chassis", "subscriber"}
    assert "libs/testkit" in (ROOT / ".dockerignore").read_text().splitlines()
    (tmp_path / "crashes.py").write_text("from testkit import crash_points\n")
    assert missing(tmp_path, copied(), installed()) == {"testkit"}


def test_a_package_and_a_wheel_that_are_left_out_are_seen() -> None:
    ours, wheels = copied(), installed()
    del ours["subscriber"]
    assert missing(ROOT / IMAGES["feed"], ours, wheels - {"fastapi"}) == {"subscriber", "fastapi"}
