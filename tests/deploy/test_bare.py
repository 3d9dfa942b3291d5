"""What a bare system is given of this machine, and what the README installs on it."""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest
from rendered import NEED_KUBECTL

from engine import bare, readme
from suite import rabbitmq_programs
from suite.refusals import Refusal


def test_a_bare_system_reaches_the_package_index_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("DATABASE_PASSWORD", "canary")
    given = bare.environment(bare.USER)
    assert given["PIP_INDEX_URL"] == "https://index.example/simple"
    assert given["https_proxy"] == "http://proxy.example:3128"
    assert given["HOME"] == f"/home/{bare.USER}"
    assert "canary" not in given.values()


def test_a_machine_that_cannot_make_one_prints_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match="apt-get install debootstrap"):
        bare.require()


def test_a_release_is_made_from_the_mirror_that_apt_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = "Debian\\thttp://mirror.example/debian/\\nUnstable Lab\\thttp://lab.example/\\n"
    program = tmp_path / "apt-get"
    program.write_text(f"#!/bin/sh\nprintf '{listed}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bare.mirrors() == {"Debian": "http://mirror.example/debian/"}
    program.write_text("#!/bin/sh\n")
    with pytest.raises(Refusal, match="apt-get update"):
        bare.mirrors()


def test_the_readme_is_followed_to_the_letter() -> None:
    assert "rabbitmq-server" in readme.installation()
    assert "/v1/orders" in readme.purchase()


@pytest.mark.parametrize("manager", rabbitmq_programs.TO_TYPE)
def test_a_user_without_rabbitmq_sees_the_readmes_instruction(manager: str) -> None:
    command = rabbitmq_programs.TO_TYPE[manager]
    assert command in rabbitmq_programs._request(manager)
    line = next(line for line in readme.text().splitlines() if f"{manager} install" in line)
    assert set(command.split()) <= set(line.replace("`", " ").split())


def test_on_another_system_the_requirements_are_printed() -> None:
    assert "RabbitMQ 3.10 or newer" in rabbitmq_programs._request("")


def test_what_needs_kubectl_does_not_run_without_it() -> None:
    for file in Path(__file__).parent.glob("test_*.py"):
        tree = ast.parse(file.read_text())
        imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        found = {(node.module, name.name) for node in imports for name in node.names}
        if ("rendered", "manifests") in found:
            assert any(fnmatch(file.name, each) for each in NEED_KUBECTL), file.name
