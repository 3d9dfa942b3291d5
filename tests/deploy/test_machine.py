"""A machine that lacks a program sees which, and how to install it; no check is left out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import rendered

from engine import private
from suite import repository
from suite.refusals import Refusal


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all there is on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def plant_kubectl(folder: Path, kustomize: str) -> None:
    """Put a kubectl into a folder that reports a version of kustomize."""
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\necho \'{{"kustomizeVersion": "{kustomize}"}}\'\n')
    program.chmod(0o755)


def check_deploy(folder: Path) -> str:
    """What `make check-deploy` prints before it gives up."""
    done = subprocess.run(
        [sys.executable, repository.ROOT / "deploy/check.py", "--out", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    return done.stderr


def test_an_old_kubectl_is_refused_by_its_kustomize(bare: Path, tmp_path: Path) -> None:
    plant_kubectl(bare, "v4.5.7")
    wanted = "kustomize v4.5.7; (version )?5 is needed, as in kubectl 1.27"
    with pytest.raises(RuntimeError, match=wanted):
        rendered.kubectl()
    assert re.search(wanted, check_deploy(tmp_path))


def test_a_new_one_is_taken(bare: Path) -> None:
    plant_kubectl(bare, "v5.5.0")
    assert rendered.kubectl() == str(bare / "kubectl")


def test_a_missing_kubectl_is_named(bare: Path, tmp_path: Path) -> None:
    wanted = "kubectl is missing: install version 1.27 or newer"
    with pytest.raises(RuntimeError, match=wanted):
        rendered.kubectl()
    assert wanted in check_deploy(tmp_path)


def test_a_folder_has_one_engine_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(Refusal, match="another run uses the engine")
    with private.locked(tmp_path), refused, private.locked(tmp_path):
        raise AssertionError("two runs hold one folder")
    with private.locked(tmp_path):
        pass


@pytest.mark.usefixtures("bare")
def test_a_machine_without_an_engine_prints_what_to_install() -> None:
    with pytest.raises(Refusal, match="the deployment tests need") as refused:
        private.require()
    printed = str(refused.value)
    packages = "apt-get install --no-install-recommends docker-compose docker.io iproute2 iptables"
    assert packages in printed
    assert "kubectl 1.27 or newer: https://" in printed
