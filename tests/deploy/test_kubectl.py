"""kubectl accepts the documents' commands for Kubernetes, and they name what is deployed."""

import re
import shlex
import subprocess

import pytest
from rendered import OVERLAYS, kubectl, labels, manifests

from suite import repository

PAGES = [
    *sorted((repository.ROOT / "docs").rglob("*.md")),
    *sorted((repository.ROOT / "deploy").rglob("*.md")),
    repository.ROOT / "README.md",
]
# At the start of a line, behind a pipe or between backticks; a remark stands behind three spaces.
COMMAND = re.compile(r"(?:^ *|\| *|`)(kubectl [^`|\n]+?)(?= {3,}|`|\||$)", re.MULTILINE)
LINES = sorted({line for page in PAGES for line in COMMAND.findall(page.read_text())})


def faults(line: str) -> list[str]:
    """What kubectl does not accept of a command, and what it names that no overlay has."""
    # Help is printed where the words before it are commands and options that kubectl has.
    done = subprocess.run(
        [kubectl(), *shlex.split(line)[1:], "--help"], capture_output=True, text=True, check=False
    )
    if done.returncode or "SUBCOMMAND" in done.stdout:
        return [done.stderr or "there is no such subcommand"]
    folders = re.findall(r"deploy/k8s/overlays/(\S+)", line)
    found = [f"{name} is no overlay" for name in folders if name not in OVERLAYS]
    for overlay in map(manifests, OVERLAYS):
        known = [f"{each['kind']}/{each['metadata']['name']}".lower() for each in overlay.objects]
        pods = [
            f"{key}={value}" for each in overlay.workloads() for key, value in labels(each).items()
        ]
        wanted = [
            f"namespace/{name}" for name in re.findall(r"(?:-n|create namespace) (\S+)", line)
        ]
        wanted += re.findall(r"\b(?:deployment|job)/\S+", line)
        found += [f"there is no {name}" for name in wanted if name not in known]
        found += [
            f"no pod has {label}" for label in re.findall(r"-l (\S+)", line) if label not in pods
        ]
    return found


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_documents_is_understood(line: str) -> None:
    assert faults(line) == []


def test_the_documents_have_commands() -> None:
    assert len(LINES) >= 9
    assert {line.split()[1] for line in LINES} >= {"apply", "create", "kustomize", "-n"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kubectl -n shop rollout status deployment", "no namespace/shop"),
        ("kubectl create namespace shop", "no namespace/shop"),
        ("kubectl -n cartwright rollout stats deployment", "no such subcommand"),
        ("kubectl frobnicate", "unknown command"),
        ("kubectl -n cartwright wait --fro=condition=complete job --all", "unknown flag: --fro"),
        ("kubectl apply -k deploy/k8s/overlays/staging", "is no overlay"),
        ("kubectl -n cartwright rollout undo deployment/orders", "no deployment/orders"),
        ("kubectl -n cartwright delete job -l app.kubernetes.io/component=move", "no pod has"),
    ],
)
def test_a_planted_defect_is_seen(line: str, expected: str) -> None:
    assert any(expected in fault for fault in faults(line)), faults(line)
