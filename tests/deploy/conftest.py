"""Which checks run here: the manifests' need kubectl, and are `make check-deploy`'s where it is missing."""

import shutil

collect_ignore = [] if shutil.which("kubectl") else ["test_manifests.py", "test_kubectl.py"]


def pytest_report_header() -> str:
    """Say it when the manifests are not looked at."""
    return "kubectl is missing: the Kubernetes manifests are not checked" if collect_ignore else ""
