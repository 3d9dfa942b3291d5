"""Stand-ins for the observability stack: Debian's Prometheus, its Alertmanager, a span receiver.

Tempo and Grafana are in no available package and have no stand-in.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from engine import images
from engine.private import Engine
from suite.refusals import Refusal

PROMETHEUS = "stand-in/prometheus"
ALERTMANAGER = "stand-in/alertmanager"
COLLECTOR = "stand-in/otel-collector"
RECIPES = Path(__file__).with_name("observers.Dockerfile")
# The tests' own receiver; it decodes OTLP with the packages in the services' images.
RECEIVER = "tests/integration/collector.py"
# The files copied into the images, with their package and path in Debian.
FILES = {
    "prometheus": ("prometheus", "usr/bin/prometheus"),
    "alertmanager": ("prometheus-alertmanager", "usr/bin/prometheus-alertmanager"),
    # Debian's Alertmanager reads its templates from files; the official binary embeds them.
    **{
        name: ("prometheus-alertmanager", f"usr/share/prometheus/alertmanager/{name}")
        for name in ("default.tmpl", "email.tmpl")
    },
}


def fetched(folder: Path, package: str, path: str) -> Path:
    """Return a file, installed or extracted from its package. Raises Refusal without either.

    The package is extracted into `folder`; installing it would start a server.
    """
    installed, unpacked = Path("/", path), folder / package / path
    if installed.exists():
        return installed
    if not unpacked.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run(folder, "apt-get", "download", "-qq", package)
        newest = max(folder.glob(f"{package}_*.deb"), key=lambda file: file.stat().st_mtime)
        _run(folder, "dpkg-deb", "--extract", newest.name, package)
    return unpacked


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        line = " ".join(command)
        raise Refusal(f"`{line}` failed (try apt-get update):\n{done.stderr[-1000:]}")


def build(
    engine: Engine, root: Path, folder: Path, service: str, report: Callable[[str], None]
) -> None:
    """Build the three stand-ins; the receiver is based on the image `service`. Raises Refusal."""
    report("building the observability stand-ins")
    context = folder / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    for name, (package, path) in FILES.items():
        shutil.copy2(fetched(folder / "packages", package, path), context / name)
    shutil.copy2(root / RECEIVER, context / "collector.py")
    build_with, kit = images.builder()
    for image in (PROMETHEUS, ALERTMANAGER, COLLECTOR):
        target = image.rpartition("/")[2]
        engine.run(
            build_with, "build", "--quiet", "--network", "none", "--tag", image, "--target", target,
            "--build-arg", f"SERVICE={service}", "--file", RECIPES, context,
            DOCKER_BUILDKIT=kit,
        )  # fmt: skip
