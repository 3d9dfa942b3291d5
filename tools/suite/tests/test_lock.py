"""The lock files pin every package by hash and name no index."""

import re

import pytest

from suite.repository import ROOT

PINNED = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==\S+( ; .+?)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


LOCKS = ["", ".services", ".gateway", ".deploy", ".postgres"]


@pytest.mark.parametrize("name", [f"requirements{kind}.lock" for kind in LOCKS])
def test_a_lock_file_holds_pins_with_hashes_and_nothing_else(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()

    strange = [line for line in lines if not PINNED.match(line) and not HASH.match(line)]
    assert strange == []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if PINNED.match(line):
            assert HASH.match(following), f"{line} has no hash"


def test_every_direct_dependency_is_pinned() -> None:
    wanted = {
        re.split(r"[<>=\[]", line)[0]
        for kind in ("", ".services", ".gateway")
        for line in (ROOT / f"requirements{kind}.in").read_text().splitlines()
        if line and not line.startswith(("#", "-r "))
    }
    pinned = set(
        re.findall(r"^([a-z0-9._-]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )

    assert wanted - pinned == set()


@pytest.mark.parametrize("image", ["services", "gateway"])
def test_an_image_pins_the_tested_versions(image: str) -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text().splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line}

    of_image = pins(f"requirements.{image}.lock")
    assert len(of_image) > 10
    assert of_image <= pins("requirements.lock")
    for tool in ("pytest", "mypy", "ruff", "hypothesis", "testcontainers"):
        assert not any(pin.startswith(f"{tool}==") for pin in of_image)
