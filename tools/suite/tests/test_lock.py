"""The lock files pin every package by hash and name no index."""

import re

import pytest

from suite.repository import ROOT

PINNED = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==\S+( ; .+?)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")

REQUIREMENTS = ROOT / "requirements"
LOCKS = ["all", "services", "gateway", "deploy", "postgres", "node"]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_holds_pins_with_hashes_and_nothing_else(name: str) -> None:
    lines = (REQUIREMENTS / f"{name}.lock").read_text().splitlines()

    strange = [line for line in lines if not PINNED.match(line) and not HASH.match(line)]
    assert strange == []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if PINNED.match(line):
            assert HASH.match(following), f"{line} has no hash"


def test_every_direct_dependency_is_pinned() -> None:
    wanted = {
        re.split(r"[<>=\[]", line)[0]
        for kind in ("all", "services", "gateway")
        for line in (REQUIREMENTS / f"{kind}.in").read_text().splitlines()
        if line and not line.startswith(("#", "-r "))
    }
    pinned = set(
        re.findall(r"^([a-z0-9._-]+)", (REQUIREMENTS / "all.lock").read_text(), re.MULTILINE)
    )

    assert wanted - pinned == set()


@pytest.mark.parametrize("image", ["services", "gateway"])
def test_an_image_pins_the_tested_versions(image: str) -> None:
    def pins(name: str) -> set[str]:
        lines = (REQUIREMENTS / f"{name}.lock").read_text().splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line}

    of_image = pins(image)
    assert len(of_image) > 10
    assert of_image <= pins("all")
    for tool in ("pytest", "mypy", "ruff", "hypothesis", "testcontainers"):
        assert not any(pin.startswith(f"{tool}==") for pin in of_image)
