"""Which checks run here: the manifests' need kubectl, and are `make check-deploy`'s where it is missing."""

import shutil

from rendered import NEED_KUBECTL

collect_ignore_glob = [] if shutil.which("kubectl") else [*NEED_KUBECTL]


def pytest_report_header() -> str:
    """Report it when the manifests are not checked."""
    return (
        "kubectl is missing: the Kubernetes manifests are not checked"
        if collect_ignore_glob
        else ""
    )
