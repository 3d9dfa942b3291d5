"""Stand-ins for base images, made of Debian packages: no image registry is needed to try ours.

They keep the contract of the official images (entrypoint, environment, volumes, user ids), not
their versions: Debian's Python, PostgreSQL and RabbitMQ take the place of newer ones.
"""

import hashlib
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.private import Engine
from suite.refusals import Refusal

ENTRYPOINTS = Path(__file__).with_name("entrypoints")
PYTHON = "stand-in/python:3"
POSTGRES = "stand-in/postgres"
RABBITMQ = "stand-in/rabbitmq"
_SERVERS = "stand-in/servers"

# The official slim image has none of this; with it, ours would be half as big again.
_LEFT_OUT = ("man", "doc", "locale", "info", "lintian", "bash-completion")
_PACKAGES = {
    PYTHON: "usr-is-merged,ca-certificates,python3-minimal,libpython3-stdlib,python3-distutils,"
    "python3-venv,libstdc++6",
    _SERVERS: "usr-is-merged,postgresql,rabbitmq-server",
}
# The user ids are the official images'; both servers live in one stand-in, so they share one.
_HOOKS = {
    PYTHON: ("ln -s /usr/bin/python3 $1/usr/local/bin/python",),
    _SERVERS: (
        f"cp {ENTRYPOINTS}/*.sh $1/usr/local/bin/",
        "for n in postgres rabbitmq; do chroot $1 usermod -o -u 999 $n; done",
        "for n in postgres rabbitmq; do chroot $1 groupmod -o -g 999 $n; done",
        "rm -rf $1/var/lib/postgresql $1/var/lib/rabbitmq $1/etc/rabbitmq",
        "mkdir -p $1/var/lib/postgresql/data $1/etc/rabbitmq/conf.d",
        "mkdir -p $1/var/lib/rabbitmq $1/var/log/rabbitmq",
        "chroot $1 chown 999:999 /var/lib/postgresql/data /var/lib/rabbitmq /var/log/rabbitmq",
        "chmod 1777 $1/var/lib/postgresql/data $1/var/lib/rabbitmq",
        # As in the official image: a tmpfs over a folder takes on the folder's mode.
        "chmod 1777 $1/var/log/rabbitmq $1/etc/rabbitmq/conf.d",
    ),
}
_CHANGES: dict[str, tuple[str, ...]] = {
    PYTHON: ('CMD ["python"]',),
    POSTGRES: (
        "ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin",
        "ENV PGDATA=/var/lib/postgresql/data",
        'ENTRYPOINT ["/usr/local/bin/postgres-entrypoint.sh"]',
        'CMD ["postgres"]',
        "VOLUME /var/lib/postgresql/data",
    ),
    RABBITMQ: (
        "ENV HOME=/var/lib/rabbitmq",
        'ENTRYPOINT ["/usr/local/bin/rabbitmq-entrypoint.sh"]',
        "VOLUME /var/lib/rabbitmq",
    ),
}


def make(folder: Path, report: Callable[[str], None]) -> dict[str, Path]:
    """Make the root file systems that are missing in the folder; returns archives by image.

    Runs outside of the engine's network, since packages come from Debian's mirror. Raises Refusal
    when a package cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        archives = pool.map(lambda name: _archive(folder, name, report), _PACKAGES)
    made = dict(zip(_PACKAGES, archives, strict=True))
    servers = made.pop(_SERVERS)
    return {**made, POSTGRES: servers, RABBITMQ: servers}


def _archive(folder: Path, image: str, report: Callable[[str], None]) -> Path:
    recipe = repr((_PACKAGES[image], _HOOKS[image], _LEFT_OUT))
    entrypoints = b"".join(file.read_bytes() for file in sorted(ENTRYPOINTS.glob("*.sh")))
    digest = hashlib.sha256(recipe.encode() + entrypoints).hexdigest()[:12]
    archive = folder / f"{image.replace('/', '-').replace(':', '-')}-{digest}.tar"
    if archive.exists():
        return archive
    report(f"making {image} from Debian packages (about a minute)")
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    options += [f"--customize-hook={hook}" for hook in _HOOKS[image]]
    options += ["--customize-hook=rm -rf $1/var/lib/apt/lists/* $1/var/cache/apt/*.bin"]
    made = subprocess.run(
        [  # noqa: S607
            "mmdebstrap", "--quiet", "--variant=minbase", "--mode=root",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            '--aptopt=APT::Install-Recommends "false"', f"--include={_PACKAGES[image]}", *options,
            "bookworm", archive.with_suffix(".new"), "--format=tar",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise Refusal(f"{image} could not be made:\n{made.stderr[-2000:]}")
    return archive.with_suffix(".new").rename(archive)


def load(engine: Engine, archives: dict[str, Path]) -> None:
    """Give the engine the images it does not have yet."""
    for image, archive in archives.items():
        changes = [part for change in _CHANGES[image] for part in ("--change", change)]
        label = hashlib.sha256(f"{archive.name}{changes}".encode()).hexdigest()[:12]
        if not engine.docker("images", "--quiet", "--filter", f"label=recipe={label}", image):
            engine.docker("import", *changes, "--change", f"LABEL recipe={label}", archive, image)
