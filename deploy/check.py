"""Checks everything that is deployed: `make check-deploy` runs it in an environment of its own."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = Path(__file__).with_name("k8s") / "schemas"
PROGRAMS = Path(sys.executable).parent
# The oldest still supported by the large providers, the one in use, and the newest.
KUBERNETES = ("1.30", "1.33", "1.36")
OVERLAYS = ("dev", "production")
# Each is broken in one way that one check must see.
PLANTED = {
    "kubernetes_schemas": ("replicas: 2", "replica: 2"),
    "custom_resources": ("enableSuperuserAccess: false", "enableSuperUserAccess: false"),
    "security": ("allowPrivilegeEscalation: false", "privileged: true"),
}
DOCKERFILES = ("deploy/Dockerfile", "deploy/gateway/Dockerfile")
COMPOSE = ("deploy/docker-compose.yml", "deploy/observability/docker-compose.yml")
OLDEST_KUSTOMIZE = 5

# RabbitMQ's operators publish no types; theirs are written by hand, by their documentation.
UNPUBLISHED = "rabbitmq.com/"

# What checkov would have otherwise, each with its reason.
SKIPPED_CHECKS = {
    "CKV_DOCKER_7": "the base image is an argument, whose default names its version",
    "CKV_K8S_8": "a Job's pod needs no liveness probe",
    "CKV_K8S_9": "a Job's pod needs no readiness probe",
    "CKV_K8S_11": "CPU is shared by weight: a limit would slow what could run, without a benefit",
    "CKV_K8S_15": "tags are never reused, so an image that is there need not be pulled again",
    "CKV_K8S_35": "settings come from the environment, like all others; keys are files",
    "CKV_K8S_40": "the user id is that of the official image (999), or ours (10001)",
    "CKV_K8S_43": "the release's pipeline writes the digest of what it built into the overlay",
}
Check = Callable[[Path], Iterator[str]]


class Missing(Exception):
    """What the checks need is not here."""


def run(*command: str | Path) -> Iterator[str]:
    """Run a checking program; yields its output when it fails."""
    done = subprocess.run(  # noqa: S603
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        yield f"{done.stdout}{done.stderr}".strip()


def render(folder: Path) -> None:
    """Write what every overlay renders to; raises Missing without a new enough kustomize."""
    try:
        completed = subprocess.run(
            ["kubectl", "version", "--client", "-o", "json"],  # noqa: S607
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        raise Missing("kubectl is missing: install version 1.27 or newer") from None
    version = json.loads(completed.stdout).get("kustomizeVersion", "v0")
    if int(version.lstrip("v").partition(".")[0]) < OLDEST_KUSTOMIZE:
        raise Missing(f"kubectl holds kustomize {version}; 5 is needed, as in kubectl 1.27")
    for overlay in OVERLAYS:
        done = subprocess.run(  # noqa: S603
            ["kubectl", "kustomize", f"deploy/k8s/overlays/{overlay}"],  # noqa: S607
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Missing(f"{overlay} cannot be rendered:\n{done.stderr}")
        (folder / f"{overlay}.yaml").write_text(done.stdout)


def kubernetes_schemas(folder: Path) -> Iterator[str]:
    """Kubernetes' own objects against the strict schemas of three versions."""
    for overlay in OVERLAYS:
        documents = yaml.load_all((folder / f"{overlay}.yaml").read_text(), yaml.CSafeLoader)
        native = [each for each in documents if not is_custom(each)]
        file = folder / f"{overlay}.native.yaml"
        file.write_text("---\n".join(json.dumps(each) + "\n" for each in native))
        for version in KUBERNETES:
            for fault in run(PROGRAMS / "kubernetes-validate", "-k", version, "--strict", file):
                yield f"Kubernetes {version}: {fault}"


def is_custom(each: dict[str, Any]) -> bool:
    """Whether an object is some operator's."""
    group = each["apiVersion"].rpartition("/")[0]
    return ("." in group and not group.endswith(".k8s.io")) or "gateway" in group


def custom_resources(folder: Path) -> Iterator[str]:
    """Operators' objects against the vendored schemas; an unknown kind is a fault."""
    used = json.loads((SCHEMAS / "custom-resources.json").read_text())["kinds"]
    published = json.loads((SCHEMAS / "operators.json").read_text())
    for overlay in OVERLAYS:
        for each in yaml.load_all((folder / f"{overlay}.yaml").read_text(), yaml.CSafeLoader):
            if not is_custom(each):
                continue
            kind = f"{each['apiVersion']}/{each['kind']}"
            where = f"{overlay}: {each['kind']}/{each['metadata']['name']}"
            schemas = [known[kind] for known in (published, used) if kind in known]
            if kind not in published and not (schemas and kind.startswith(UNPUBLISHED)):
                yield f"{where}: no published schema of {kind} is in k8s/{SCHEMAS.name}"
            for schema in schemas:
                for fault in jsonschema.Draft202012Validator(schema).iter_errors(each["spec"]):
                    yield f"{where}: {'.'.join(map(str, fault.path))}: {fault.message}"


def compose_schema(_folder: Path) -> Iterator[str]:
    """The compose files against the Compose specification."""
    yield from run(
        PROGRAMS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", *COMPOSE
    )


def dockerfiles(_folder: Path) -> Iterator[str]:
    """The Dockerfiles, by hadolint."""
    yield from run(PROGRAMS / "hadolint", *DOCKERFILES)


def yaml_style(_folder: Path) -> Iterator[str]:
    """Every YAML file as it is written, by yamllint."""
    yield from run(PROGRAMS / "yamllint", "--strict", "-c", "deploy/yamllint.yaml", "deploy")


def security(folder: Path) -> Iterator[str]:
    """What is rendered and built, by checkov; the checks left out stand in SKIPPED_CHECKS."""
    skipped = ["--skip-check", ",".join(SKIPPED_CHECKS)]
    options = ["--quiet", "--compact", "--skip-download", *skipped]
    for overlay in OVERLAYS:
        file = folder / f"{overlay}.yaml"
        yield from run(PROGRAMS / "checkov", *options, "--framework", "kubernetes", "-f", file)
    yield from run(PROGRAMS / "checkov", *options, "--framework", "dockerfile", "-f", *DOCKERFILES)


def blind(folder: Path) -> Iterator[str]:
    """Each check sees the defect that is planted for it."""
    for check in CHECKS:
        if check.__name__ not in PLANTED:
            continue
        sound, broken = PLANTED[check.__name__]
        planted = folder / "planted"
        planted.mkdir(exist_ok=True)
        for overlay in OVERLAYS:
            text = (folder / f"{overlay}.yaml").read_text()
            (planted / f"{overlay}.yaml").write_text(text.replace(sound, broken))
        if not list(check(planted)):
            yield f"{check.__name__} does not see `{broken}`"


CHECKS: tuple[Check, ...] = (
    compose_schema,
    dockerfiles,
    yaml_style,
    custom_resources,
    kubernetes_schemas,
    security,
    blind,
)


def main() -> None:
    """Run every check; 1 when one is not content."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for what is rendered")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    try:
        render(folder)
    except Missing as missing:
        sys.exit(f"✗ {missing}")
    faults = 0
    for check in CHECKS:
        began = time.monotonic()
        found = list(check(folder))
        faults += len(found)
        took = time.monotonic() - began
        mark = "✗" if found else "✓"
        print(f"{mark} {(check.__doc__ or '').rstrip('.')} ({took:.1f} s)", flush=True)  # noqa: T201
        for fault in found:
            print(fault)  # noqa: T201
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
