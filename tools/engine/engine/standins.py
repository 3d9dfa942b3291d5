"""Stand-ins for base images, copied from this machine, so that tests need no image registry.

They have the official images' interface (entrypoint, environment, volumes, user ids), not their
versions: Debian's Python, PostgreSQL and RabbitMQ replace newer ones.
"""

import hashlib
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine import debian
from engine.debian import Entry, Package
from engine.private import Engine

ENTRYPOINTS = Path(__file__).with_name("entrypoints")
PYTHON = "stand-in/python:3"
POSTGRES = "stand-in/postgres"
RABBITMQ = "stand-in/rabbitmq"

# The official slim image omits these too; they would add half of the size.
LEFT_OUT = tuple(
    f"/usr/share/{name}"
    for name in ("man", "doc", "locale", "info", "lintian", "bash-completion", "i18n")
)
SERVER_FOLDERS = ("/var/lib/postgresql", "/var/lib/rabbitmq", "/var/log/rabbitmq", "/etc/rabbitmq")
# Debian's wrappers, and the JIT compiler of queries, which every deployment turns off.
UNUSED = ("postgresql-common", "postgresql-client-common", "libllvm14")
# Both servers share one root file system, and therefore the official images' user id.
USER = 999
USERS = (
    f"postgres:x:{USER}:{USER}::/var/lib/postgresql:/bin/sh\n"
    f"rabbitmq:x:{USER}:{USER}::/var/lib/rabbitmq:/bin/sh\n"
)


@dataclass(frozen=True)
class Root:
    """A root file system and its images, each with its Dockerfile changes."""

    packages: tuple[str, ...]
    images: dict[str, tuple[str, ...]]
    entries: tuple[Entry, ...] = ()
    users: str = ""


def roots() -> tuple[Root, ...]:
    """Return the root file systems: one for Python, one for the servers."""
    return (
        Root(
            ("ca-certificates", "python3-minimal", "libpython3-stdlib", "python3-distutils",
             "python3-venv", "libstdc++6"),
            {PYTHON: ('CMD ["python"]',)},
            (Entry("/usr/local/bin/python", text="/usr/bin/python3", link=True),),
        ),
        Root(("postgresql", "rabbitmq-server"), servers(), tuple(server_entries()), USERS),
    )  # fmt: skip


def python() -> str:
    """The version of the Python that stands in for the official one, as `3.11`."""
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    output = subprocess.run(
        ["/usr/bin/python3", "-c", show], capture_output=True, text=True, check=True
    )
    return output.stdout.strip()


def servers() -> dict[str, tuple[str, ...]]:
    """The images of both servers."""
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), "")
    return {
        POSTGRES: (
            f"ENV PATH={programs}:/usr/local/bin:/usr/bin:/bin",
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


def server_entries() -> list[Entry]:
    """The servers' entrypoints and folders."""
    scripts = [
        Entry(f"/usr/local/bin/{file.name}", mode=0o755, text=file.read_text())
        for file in sorted(ENTRYPOINTS.glob("*.sh"))
    ]
    # As in the official images, a tmpfs or volume inherits the mode of the folder it covers.
    owned = ("/var/lib/postgresql/data", "/var/lib/rabbitmq", "/var/log/rabbitmq")
    return [
        *scripts,
        Entry("/var/lib/postgresql", mode=0o755, folder=True),
        *(Entry(path, mode=0o1777, owner=USER, folder=True) for path in owned),
        Entry("/etc/rabbitmq", mode=0o755, folder=True),
        Entry("/etc/rabbitmq/conf.d", mode=0o1777, folder=True),
    ]


def entries(root: Root) -> list[Entry]:
    """The files that the packages' scripts would create, and those of this root."""
    masters = Path("/usr/share/base-passwd")
    known = {name: (masters / f"{name}.master").read_text() for name in ("passwd", "group")}
    groups = "".join(f"{line.partition(':')[0]}:x:{USER}:\n" for line in root.users.splitlines())
    return [
        Entry("/etc/passwd", text=known["passwd"] + root.users),
        Entry("/etc/group", text=known["group"] + groups),
        Entry("/etc/nsswitch.conf", text="passwd: files\ngroup: files\nhosts: files dns\n"),
        Entry("/var/run", text="/run", link=True),
        *root.entries,
    ]


def load(engine: Engine, folder: Path, report: Callable[[str], None]) -> None:
    """Import the stand-ins that the engine lacks or has from older packages.

    Raises Refusal when a package is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = debian.installed()
    with ThreadPoolExecutor() as pool:
        for loading in [
            pool.submit(_load, engine, folder, root, known, report) for root in roots()
        ]:
            loading.result()


def _load(
    engine: Engine,
    folder: Path,
    root: Root,
    known: dict[str, Package],
    report: Callable[[str], None],
) -> None:
    packages = debian.closure(root.packages, known, UNUSED)
    recipe = hashlib.sha256(repr((packages, root, entries(root))).encode()).hexdigest()[:12]
    label = f"recipe={recipe}"
    missing = {
        image: changes
        for image, changes in root.images.items()
        if not engine.docker("images", "--quiet", "--filter", f"label={label}", image)
    }
    if not missing:
        return
    report(f"creating {', '.join(missing)} from {len(packages)} packages of this machine")
    files = debian.paths(packages, (*LEFT_OUT, *SERVER_FOLDERS))
    archive = debian.pack(files, entries(root), folder / f"{recipe}.tar")
    for image, changes in missing.items():
        options = [part for change in (*changes, f"LABEL {label}") for part in ("--change", change)]
        engine.docker("import", *options, archive, image)
    archive.unlink()
