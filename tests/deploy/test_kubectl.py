"""kubectl accepts the documents' commands for Kubernetes, and they name what is deployed."""

import pytest
from kubectl_lines import faults, lines

from suite import repository

PAGES = [
    *sorted((repository.ROOT / "docs").rglob("*.md")),
    *sorted((repository.ROOT / "deploy").rglob("*.md")),
    repository.ROOT / "README.md",
]
LINES = sorted({line for page in PAGES for line in lines(page)})


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_documents_is_understood(line: str) -> None:
    assert faults(line) == []


def test_the_documents_have_commands() -> None:
    assert len(LINES) >= 10
    assert {line.split()[1] for line in LINES} >= {"apply", "create", "-n"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kubectl -n shop rollout status deployment", "no namespace shop"),
        ("kubectl create namespace shop", "nothing lives in the namespace shop"),
        ("kubectl -n cartwright rollout stats deployment", "no `kubectl rollout stats`"),
        ("kubectl frobnicate", "unknown command"),
        ("kubectl -n cartwright wait --fro=condition=complete job --all", "unknown flag: --fro"),
        ("kubectl apply -k deploy/k8s/overlays/staging", "is no overlay"),
        ("kubectl kustomize deploy/k8s/overlays/staging", "is no overlay"),
        ("kubectl -n cartwright rollout undo deployment/orders", "no deployment/orders"),
        ("kubectl -n cartwright delete job -l app.kubernetes.io/component=move", "no job has"),
    ],
)
def test_a_planted_defect_is_seen(line: str, expected: str) -> None:
    assert any(expected in fault for fault in faults(line)), faults(line)
