"""The manifests as Kustomize renders them, and the compose file, as Python reads them."""

import functools
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import yaml

from suite import repository

K8S = repository.ROOT / "deploy/k8s"
OVERLAYS = ("dev", "production")
OLDEST_KUSTOMIZE = 5
WORKLOADS = ("Deployment", "StatefulSet", "Job")
# The tests that render the manifests, which only kubectl can.
NEED_KUBECTL = ("test_manifests*.py", "test_kubectl.py")
Json = dict[str, Any]


@dataclass(frozen=True)
class Manifests:
    """Everything an overlay renders to."""

    objects: list[Json]

    def of(self, *kinds: str) -> list[Json]:
        """The objects of these kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    def names(self, *kinds: str) -> set[str]:
        """The names of the objects of these kinds."""
        return {each["metadata"]["name"] for each in self.of(*kinds)}

    def named(self, kind: str, name: str) -> Json:
        """One object; raises StopIteration when there is none."""
        return next(each for each in self.of(kind) if each["metadata"]["name"] == name)

    def workloads(self) -> list[Json]:
        """Everything that makes pods."""
        return self.of(*WORKLOADS)


def containers(workload: Json) -> list[Json]:
    """The containers of a workload's pods, those that run first included."""
    return [*workload["spec"]["template"]["spec"].get("initContainers", []), *running(workload)]


def running(workload: Json) -> list[Json]:
    """The containers that run as long as a pod does."""
    return list(workload["spec"]["template"]["spec"]["containers"])


def labels(workload: Json) -> dict[str, str]:
    """The labels of a workload's pods."""
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def kubectl() -> str:
    """The path of a kubectl whose kustomize is new enough; the error names what is wrong."""
    found = shutil.which("kubectl")
    if not found:
        raise RuntimeError("kubectl is missing: install version 1.27 or newer, and try again")
    completed = subprocess.run(
        [found, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    )
    version = json.loads(completed.stdout).get("kustomizeVersion", "v0")
    if int(version.lstrip("v").partition(".")[0]) < OLDEST_KUSTOMIZE:
        raise RuntimeError(
            f"this kubectl holds kustomize {version}; version 5 is needed, as in kubectl 1.27"
        )
    return found


def text_of(overlay: str) -> str:
    """What `kubectl kustomize` prints for an overlay."""
    done = subprocess.run(
        [kubectl(), "kustomize", str(K8S / "overlays" / overlay)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{overlay} cannot be rendered:\n{done.stderr}")
    return done.stdout


@functools.cache
def manifests(overlay: str) -> Manifests:
    """An overlay, rendered."""
    return Manifests([each for each in yaml.load_all(text_of(overlay), yaml.CSafeLoader) if each])


@functools.cache
def composition() -> Json:
    """The compose file."""
    text = (repository.ROOT / "deploy/docker-compose.yml").read_text()
    return dict(yaml.safe_load(text))


def image_name(image: str) -> str:
    """`cartwright/orders` of any registry's `…/cartwright/orders:1.2`."""
    path = re.sub(r":\$\{[^}]*\}$", "", image.split("@", maxsplit=1)[0])
    name = path.rpartition(":")[0] if ":" in path.rpartition("/")[2] else path
    return "/".join(name.split("/")[-2:])


def settings_of(service: str) -> tuple[set[str], set[str]]:
    """The environment variables a service's settings class takes: all, and those it must have."""
    import importlib

    settings = importlib.import_module(f"{service}.main").service.settings
    fields = settings.model_fields
    every = {name.upper() for name in fields}
    return every, {name.upper() for name, field in fields.items() if field.is_required()}
