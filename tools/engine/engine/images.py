"""Builds the images on an engine without access to a package index."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine import standins
from engine.private import Engine
from suite.refusals import Refusal

LOCKS = ("requirements/services.lock", "requirements/gateway.lock")
TOOLS = ("provision", "sandbox_provider", "mailcatcher")
# Builds mostly wait for the disk; more concurrency gains nothing.
CONCURRENCY = 3
# Since this version BuildKit is a separate plugin.
BUILDX_SINCE = 23


def download(root: Path, folder: Path, report: Callable[[str], None]) -> Path:
    """Download the wheels of the locks, once per version of the locks; returns their folder.

    Raises Refusal when the package index lacks one.
    """
    digest = hashlib.sha256(b"".join((root / lock).read_bytes() for lock in LOCKS)).hexdigest()
    wheels = folder / f"wheels-{digest[:12]}"
    if not wheels.exists():
        report("downloading the wheels of the images")
        fresh = wheels.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        requirements = [part for lock in LOCKS for part in ("-r", str(root / lock))]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"]
        target = ["--only-binary", ":all:", "--python-version", standins.python(), "--no-deps"]
        fetched = subprocess.run(
            [*command, *target, "--dest", str(fresh), *requirements],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if fetched.returncode:
            raise Refusal(f"the wheels could not be downloaded:\n{fetched.stderr[-2000:]}")
        fresh.rename(wheels)
    return wheels


def context(root: Path, wheels: Path, folder: Path) -> Path:
    """Create the build context: the working tree's files, with the wheels beside them."""
    copy_files(root, folder)
    (folder / "wheels").mkdir()
    for wheel in wheels.iterdir():
        (folder / "wheels" / wheel.name).hardlink_to(wheel)
    return folder


def copy_files(root: Path, folder: Path) -> None:
    """Copy the files of the working tree that git does not ignore into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],  # noqa: S607
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target)


def build(
    engine: Engine, source: Path, services: list[str], version: str, report: Callable[[str], None]
) -> list[str]:
    """Build every image with the tag `version`; returns their names. Raises Refusal."""
    wanted = [(name, "services") for name in services] + [(name, "tools") for name in TOOLS]
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/build", "BASE": standins.PYTHON}
    stamped = {**offline, "VERSION": version, "REVISION": revision(source)}
    common = "deploy/Dockerfile"

    def one(name: str, file: str, **own: str) -> None:
        report(f"building cartwright/{name}")
        _build(engine, source, file, name, version, stamped | own)

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        gateway = pool.submit(one, "gateway", "deploy/gateway/Dockerfile")
        # The first builds the layers that all others share.
        (first, kind), *others = wanted
        one(first, common, SERVICE=first, KIND=kind)
        rest = [pool.submit(one, name, common, SERVICE=name, KIND=kind) for name, kind in others]
        for building in (gateway, *rest):
            building.result()
    return [f"cartwright/{name}:{version}" for name in (*services, *TOOLS, "gateway")]


def revision(source: Path) -> str:
    """Return the digest of the build context."""
    files = sorted(file for file in source.rglob("*") if file.is_file() and file.suffix != ".whl")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _build(
    engine: Engine, source: Path, file: str, name: str, version: str, arguments: dict[str, str]
) -> None:
    options = [
        part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")
    ]
    tag = ("--tag", f"cartwright/{name}:{version}")
    network = ("--network", "none")
    program, kit = builder()
    engine.run(
        program, "build", "--quiet", *network, *tag, "--file", source / file, *options, source,
        DOCKER_BUILDKIT=kit,
    )  # fmt: skip


@functools.cache
def builder() -> tuple[str, str]:
    """Return the `docker` program to build with, and its DOCKER_BUILDKIT.

    BuildKit sends changes alone and shares equal layers, so it takes a quarter of the time.
    Docker's client includes it up to version 22, and later through the plugin buildx; without
    either, the classic builder builds the same Dockerfiles.
    """
    found = [Path(folder, "docker") for folder in os.get_exec_path()]
    for program in map(str, filter(Path.is_file, found)):
        output = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        major = re.search(r"version (\d+)", output.stdout)
        plugin = subprocess.run([program, "buildx", "version"], capture_output=True, check=False)
        if not plugin.returncode or (major and int(major[1]) < BUILDX_SINCE):
            return program, "1"
    return "docker", "0"
