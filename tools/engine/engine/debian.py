"""Root file systems from the Debian packages that are installed on this machine.

Copying installed files takes seconds and needs no mirror. No maintainer script runs, so the caller
adds the users, links and folders that scripts create.
"""

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.refusals import Refusal

FIELDS = ("binary:Package", "Version", "Essential", "Provides", "Pre-Depends", "Depends", "Status")
# `name (>= 1)`, `name:any` and `name [amd64]` are all about `name`.
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
PROGRAMS = ("/usr/bin", "/usr/sbin")


@dataclass(frozen=True)
class Package:
    """An installed package; each entry of `needs` lists alternatives, one of which is enough."""

    name: str
    version: str
    essential: bool
    provides: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Entry:
    """A file, folder or link outside of packages; `text` is a link's target if `link`."""

    path: str
    mode: int = 0o644
    owner: int = 0
    text: str = ""
    folder: bool = False
    link: bool = False

    def header(self) -> tarfile.TarInfo:
        """The header before its content in an archive."""
        info = tarfile.TarInfo(self.path.lstrip("/"))
        info.mode, info.uid, info.gid = self.mode, self.owner, self.owner
        info.type = (
            tarfile.DIRTYPE if self.folder else tarfile.SYMTYPE if self.link else tarfile.REGTYPE
        )
        info.linkname = self.text if self.link else ""
        info.size = 0 if self.folder or self.link else len(self.text.encode())
        return info


def installed() -> dict[str, Package]:
    """Return installed packages, by name and by what they provide. Raises Refusal off Debian."""
    form = "\t".join(f"${{{field}}}" for field in FIELDS) + "\n"
    try:
        output = subprocess.run(
            ["dpkg-query", "--show", f"--showformat={form}"],  # noqa: S607
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        raise Refusal("Debian or a derivative: dpkg-query is missing") from None
    found: dict[str, Package] = {}
    provided: dict[str, Package] = {}
    for line in output.stdout.splitlines():
        name, version, essential, provides, before, needs, status = line.split("\t")
        if not status.endswith(" installed"):
            continue
        package = Package(
            name.partition(":")[0], version, essential == "yes", tuple(NAME.findall(provides)),
            tuple(_alternatives(f"{before},{needs}")),
        )  # fmt: skip
        found[package.name] = package
        provided |= dict.fromkeys(package.provides, package)
    return provided | found


def _alternatives(needs: str) -> Iterator[tuple[str, ...]]:
    for need in filter(str.strip, needs.split(",")):
        names = (NAME.search(choice.strip()) for choice in need.split("|"))
        yield tuple(name[0] for name in names if name)


def closure(
    wanted: Iterable[str], known: Mapping[str, Package], without: Iterable[str] = ()
) -> list[Package]:
    """The named packages, the essential ones, and all their dependencies.

    without: packages to skip, with the dependencies of these alone. Raises Refusal with the
    command to type when one is not installed.
    """
    wanted = list(wanted)
    if missing := [name for name in wanted if name not in known]:
        packages = " ".join(missing)
        raise Refusal(f"not installed: apt-get install --no-install-recommends {packages}")
    left = [known[name] for name in wanted] + [each for each in known.values() if each.essential]
    taken: dict[str, Package] = {}
    while left:
        package = left.pop()
        if package.name in taken or package.name in without:
            continue
        taken[package.name] = package
        left += [
            next(known[name] for name in choices if name in known)
            for choices in package.needs
            if any(name in known for name in choices)
        ]
    return sorted(taken.values(), key=lambda each: each.name)


def paths(packages: Iterable[Package], left_out: Iterable[str]) -> list[Path]:
    """The packages' files outside of `left_out` folders, in the order of an archive."""
    output = subprocess.run(
        ["dpkg-query", "--listfiles", *(each.name for each in packages)],  # noqa: S607
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    unwanted = tuple(f"{folder}/" for folder in left_out)
    found: set[Path] = set()
    for line in output.stdout.splitlines():
        # Other lines describe diversions, and `/.` is the root.
        if not line.startswith("/") or line == "/." or line.startswith(unwanted):
            continue
        file = Path(line)
        # If /lib is a link to usr/lib, a package may still list /lib.
        real = file.parent.resolve() / file.name
        if not real.is_symlink() and not real.exists():
            continue
        found |= {real, *list(real.parents)[:-1]}
        found |= set(_compiled(real))
    found |= set(_alternative_links(found))
    found |= {link for link in (Path("/", name) for name in MERGED) if link.is_symlink()}
    return sorted(found)


def _compiled(source: Path) -> Iterator[Path]:
    """The byte code of an installed module."""
    if source.suffix == ".py":
        for file in (source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc"):
            yield from (file, file.parent)


def _alternative_links(found: set[Path]) -> Iterator[Path]:
    """The links of the alternatives system, such as awk to mawk."""
    for folder in PROGRAMS:
        for entry in os.scandir(folder):
            link = Path(entry.path)
            if not entry.is_symlink() or link.resolve() not in found:
                continue
            choice = link.readlink()
            if choice.is_relative_to("/etc/alternatives"):
                yield from (link, choice, choice.parent)


def pack(files: Iterable[Path], entries: Iterable[Entry], archive: Path) -> Path:
    """Write an archive of the machine's files; entries replace files of the same path."""
    entries = list(entries)
    replaced = {entry.path for entry in entries}
    with tarfile.open(archive, "w", dereference=False) as tar:
        for file in files:
            if str(file) not in replaced:
                tar.add(file, str(file).lstrip("/"), recursive=False)
        for entry in entries:
            content = None if entry.folder or entry.link else io.BytesIO(entry.text.encode())
            tar.addfile(entry.header(), content)
    return archive
